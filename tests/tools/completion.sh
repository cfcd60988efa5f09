#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Completion by each shell: every option and every command that --help prints, and nothing else; what
# options and arguments mean. Names of models are asked of the aiaccel that is built.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/tap/tap.sh

export PATH=$PWD/build/bin:$PATH HOME=$TMP XDG_DATA_HOME=$TMP XDG_CONFIG_HOME=$TMP AIACCEL_REGISTRY=$TMP/registry

# subcommands COMMAND...: those that its --help names
subcommands() { "$@" --help | awk 'on && NF { print $1 } tolower($0) ~ /^subcommands/ { on = 1 }'; }

# paths COMMAND...: this and all commands below
paths() {
	local sub
	echo "$*"
	for sub in $(subcommands "$@"); do paths "$@" "$sub"; done
}

# options COMMAND...: what stands behind it, sorted
options() {
	{
		"$@" --help | tr , ' ' | awk '{ for (i = 1; i <= NF && $i ~ /^-/; i++) print $i }'
		echo --transport
	} | sort -u
}

# complete_SHELL LINE...: for each a line `== LINE`, then what the shell offers, one a line, sorted
# shellcheck disable=SC2317 # called by its name
complete_bash() {
	bash --norc -c '. "$0"; for COMP_LINE; do COMP_POINT=${#COMP_LINE} COMPREPLY=(); _aiaccel
		echo "== $COMP_LINE"; printf "%s\n" "${COMPREPLY[@]}" | sort -u; done' "$TMP/bash" "$@"
}
# The functions of zsh that offer something need a line editor; what they are given does not.
# shellcheck disable=SC2016,SC2317
complete_zsh() {
	zsh -f -c 'compdef() {}; _files() { print FILES }
		compadd() { shift; print -l -- $@ }; _command_names() { print COMMANDS }
		_describe() { local -a list=("${(@P)4}"); print -l -- ${list%%:*} }
		. $0; for line; do words=("${(@s: :)line}") CURRENT=$#words PREFIX=$words[-1]
		print -- "== $line"; _aiaccel | grep -e "^${PREFIX:-.}" -e "^[A-Z]*$" | sort -u; done' "$TMP/zsh" "$@"
}
# shellcheck disable=SC2016,SC2317
complete_fish() {
	fish -N -c 'source $argv[1]; for line in $argv[2..-1]; echo "== $line"; complete -C $line | sed "s/\t.*//" |
		sort -u; end' "$TMP/fish" "$@"
}

# of LINE ANSWERS: what was offered for it
of() { awk -v want="== $1" '$0 == want { on = 1; next } /^== / { on = 0 } on && NF' <<<"$2"; }

mapfile -t all < <(paths aiaccel)
like 'commands below commands are found' "${all[*]}" 'aiaccel policy set'
lines=()
for path in "${all[@]}"; do lines+=("$path -" "$path "); done

# Names are those of a registry, which the line may say.
for model in here elsewhere; do
	echo weights >"$TMP/$model.bin"
	ok "a registry with the model $model" aiaccel model add "$TMP/$model.bin" --name $model --version 1.0.0 \
		--registry "$TMP/$([ $model = here ] && echo registry || echo other)"
done
# An aiaccel whose names are commands for whoever expands them.
mkdir "$TMP/hostile"
# shellcheck disable=SC2016
printf '#!/bin/sh\necho "\$(touch %s/pwned)"; echo "\`touch %s/pwned\`"\n' "$TMP" "$TMP" >"$TMP/hostile/aiaccel"
chmod +x "$TMP/hostile/aiaccel"

for shell in bash zsh fish; do
	if ! command -v $shell >/dev/null; then
		skip "$shell" "$shell is not installed"
		continue
	fi
	aiaccel completion $shell >"$TMP/$shell"
	ok "$shell reads the script" $shell -n "$TMP/$shell"
	answers=$(complete_$shell "${lines[@]}" 2>"$TMP/err")
	is "$shell complains of nothing" "$(cat "$TMP/err")" ''
	for path in "${all[@]}"; do
		# fish offers long options for `-`, and short ones beside them.
		# shellcheck disable=SC2086 # the words of a command
		is "$shell: options of $path" "$(of "$path -" "$answers" | LC_ALL=C sort)" "$(options $path | LC_ALL=C sort)"
		# shellcheck disable=SC2086
		for sub in $(subcommands $path); do
			ok "$shell: $path $sub" grep -qxF "$sub" <<<"$(of "$path " "$answers")"
		done
	done
	# The value of an option is none of the commands, whatever it looks like.
	values=$(complete_$shell 'aiaccel run --class ' 'aiaccel completion ' 'aiaccel --transport br' \
		'aiaccel explain --engine run --js' 'aiaccel run --transport embedded --cl')
	is "$shell: classes" "$(of 'aiaccel run --class ' "$values" | xargs)" 'high idle low normal'
	is "$shell: shells" "$(of 'aiaccel completion ' "$values" | grep -v ^- | xargs)" 'bash fish zsh'
	is "$shell: the begin of a word" "$(of 'aiaccel --transport br' "$values")" broker
	is "$shell: a value that is a command's name" "$(of 'aiaccel explain --engine run --js' "$values")" --json
	names=$(complete_$shell 'aiaccel model show ' "aiaccel model show --registry $TMP/other " \
		"aiaccel model show --registry=$TMP/other " "aiaccel model show --registry $TMP/other else" 2>&1)
	is "$shell: names" "$(of 'aiaccel model show ' "$names" | grep -v ^- | xargs)" 'here here@v1.0.0'
	for line in "--registry $TMP/other " "--registry=$TMP/other " "--registry $TMP/other else"; do
		is "$shell: names behind $line" "$(of "aiaccel model show $line" "$names" | grep -v ^- | xargs)" \
			'elsewhere elsewhere@v1.0.0'
	done
	(PATH=$TMP/hostile:$PATH && complete_$shell 'aiaccel model show ' >"$TMP/hostile/$shell" 2>&1)
	like "$shell: a name is not expanded" "$(cat "$TMP/hostile/$shell")" 'touch'
	nok "$shell: nor run" test -e "$TMP/pwned"
	rm -f "$TMP/pwned"
	is "$shell: options of all commands" "$(of 'aiaccel run --transport embedded --cl' "$values")" --class
done
nok 'there is no other shell' aiaccel completion csh
tap_done
