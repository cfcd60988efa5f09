#!/bin/bash
# SPDX-License-Identifier: MIT
#
# What an administrator does with aiaccel on a system with systemd, from the boot to the removal, and
# a user with the broker's units. Run by run.sh, in the virtual machine; the services are those of etc/.
# shellcheck disable=SC2317 # functions are called by ok
cd "$(dirname "$0")/../.." || exit 1
. tests/tap/tap.sh

eventually() { # COMMAND...: succeeds at last
	local end=$((SECONDS + 90))
	while ((SECONDS < end)); do
		"$@" >/dev/null 2>&1 && return 0
		sleep 0.2
	done
	"$@"
}

said() { [[ $(journalctl --no-pager -o cat -u "$1") == *"$2"* ]]; } # UNIT WORDS
shows() { [[ $("${@:2}" 2>&1) =~ $1 ]]; }                          # REGEX COMMAND...
has_turns() { shows '"turns": [1-9]' aiaccel explain "$1" --last 1s --json; }
group_of() { sed 's/^0:://' "/proc/$1/cgroup"; }
main_of() { systemctl show -P MainPID "$1"; }
worker() { setpriv --reuid worker --regid worker --init-groups env XDG_RUNTIME_DIR=/run/user/4242 "$@"; }
prepared() { shows '0000:65:00\.0 .* nvml' aiaccel engines; }
rules() { aiaccel policy show | awk 'NR > 1 { print $1, $2, $3 ~ /=/ ? $3 : "" }'; }

is 'systemd is the first process' "$(cat /proc/1/comm)" systemd

## the boot
ok 'the GPU is an engine' eventually prepared
is 'the device is the group'"'"'s' "$(stat -c '%a %G' /dev/aiaccel)" '660 aiaccel'
at_boot='unit=server.service max_class=low weight=50
unit=trainer.service device_bytes=100M 
user=4242 max_class=low 
cgroup=/user.slice/user-4242.slice max_class=low '
is 'the policy is loaded' "$(rules)" "$at_boot"
ok 'the helper has ended' eventually shows '^inactive$' systemctl is-active aiaccel-boot.service
is 'and nothing runs' "$(pgrep -l '^aiaccel')" ''
looked() { journalctl --no-pager -o cat -u aiaccel-gpus@renderD128.service | grep -c '^Finished '; }
looked_since() { (($(looked) > $1)); }
node=/sys/class/drm/renderD128
if [ -e $node ]; then
	# The helper waits this time, and the node comes meanwhile.
	waits=/run/systemd/system/aiaccel-boot.service.d/waits.conf
	mkdir ${waits%/*}
	cat >$waits <<-END
		[Service]
		TimeoutStartSec=infinity
		ExecStartPre=/bin/sh -c 'until [ -e /run/helper-goes-on ]; do sleep 0.2; done'
	END
	systemctl daemon-reload
	systemctl start --no-block aiaccel-boot.service
	before=$(looked)
	udevadm trigger --action=remove --settle $node
	udevadm trigger --action=add --settle $node
	ok 'GPUs are looked for when a render node comes' eventually looked_since "$before"
	is 'while the helper runs' "$(systemctl is-active aiaccel-boot.service)" activating
	is 'and none is registered for vgem' "$(aiaccel engines --json | grep -c '"kind": "gpu"')" 1
	touch /run/helper-goes-on
	ok 'it ends then' eventually shows '^inactive$' systemctl is-active aiaccel-boot.service
else
	skip 'GPUs are looked for when a render node comes' 'vgem is not loaded'
fi

## services
ok 'they start' systemctl start server trainer
ok 'server.service has turns' eventually has_turns server.service
ok 'trainer.service has turns' eventually has_turns trainer.service
server=$(main_of server) trainer=$(main_of trainer)
work=/system.slice/trainer.service/aiaccel-exec-work
top=$(aiaccel-top --once)
like 'a unit by its rule: the class' "$top" 'cuda +low +[^/]* /system\.slice/server\.service'
like 'a unit by its rule: the weight' "$top" '/system\.slice/server\.service +50 '
ok 'a unit by its rule: told to the program' said server 'class normal is above what this tenant may use: low is taken'
ok 'a unit by its rule: bytes, of a program below it' eventually said trainer 'alloc: error 2'
is 'exec has a group of its own where the unit delegates' "$(group_of "$trainer")" $work
is 'with its share' "$(cat /sys/fs/cgroup$work/cpu.weight)" 20
like 'of the engines too' "$top" "$work +20 "
like 'explain knows units' "$(aiaccel explain server.service)" "share +$work "

out=$(aiaccel attach --class low "$server" 2>&1)
like 'attach leaves a service in its unit, and says so' "$out" 'it stays in /system.slice/server.service; for all of it:'
is 'and it does' "$(group_of "$server")" /system.slice/server.service
is 'what can be done is done' "$(ps -o ni= -p "$server" | xargs)" 10
line=$(sed -n 's/.*for all of it: //p' <<<"$out")
ok 'the line that it prints works' sh -c "$line"
is 'for all of it' "$(cat /sys/fs/cgroup/system.slice/server.service/cpu.weight)" 11

ok 'restart' systemctl restart trainer
ok 'it has turns again' eventually has_turns trainer.service
is 'in its group' "$(group_of "$(main_of trainer)")" $work
is 'with its rule, once' "$(rules)" "$at_boot
cgroup=$work weight=20 "

ok 'drain' aiaccel drain gpu0 --wait 30
like 'nobody has turns' "$(aiaccel engines)" 'gpu0 .* 0 +0 +8\.0 GiB +draining'
ok 'resume' aiaccel resume gpu0
ok 'they have turns' eventually has_turns server.service

## scopes
scope() { systemd-run -q --scope "$@" aiaccel exec --class low -- sed 's/^0:://' /proc/self/cgroup 2>&1; }
like 'a scope that delegates' "$(scope --unit=a -p Delegate=yes)" '^/system\.slice/a\.scope/aiaccel-exec-[0-9]+$'
like 'one that does not' "$(scope --unit=b)" \
	$'^aiaccel exec: no cgroup of its own: it stays in /system\.slice/b\.scope[^\n]*\n/system\.slice/b\.scope$'
ok 'a user'"'"'s manager' systemctl start user@4242
like 'a user'"'"'s scope' "$(worker systemd-run -q --user --scope --unit=c -p Delegate=yes aiaccel exec --class normal -- \
	sh -c 'cat /proc/self/cgroup; client dlsym begin launch:2:1000 sync say:done' 2>&1)" \
	'/user\.slice/user-4242\.slice/user@4242\.service/.*/c\.scope/aiaccel-exec-[0-9]+.*normal is above .* low is taken.*done$'

## the module is replaced
leave() { aiaccel leave --wait 60; }
remove() { eventually modprobe -r aiaccel; } # not in a moment when a program looks
ok 'leave under running services' leave
ok 'the module goes' remove
ok 'server.service goes on without' said server 'launches go ungated until there are'
ok 'the next module comes' modprobe aiaccel
ok 'it has the GPU' eventually prepared
is 'and the policy' "$(rules)" "$at_boot"
ok 'server.service has turns of it' eventually has_turns server.service
is 'and is the one that it was' "$(main_of server)" "$server"

## the module is removed
ok 'the services stop' systemctl stop server trainer
ok 'leave' leave
ok 'removal' remove
nok 'no device is left' test -e /dev/aiaccel

## the broker
brokers() { # WHOSE START SYSTEMCTL...: the units, without the module
	local name="$1 broker" start=$2 pid
	shift 2
	# shellcheck disable=SC2086 # words
	ok "$name: the socket" "$@" $start aiacceld.socket
	like "$name: a program finds it" "$(worker aiaccel engines)" 'nvml.*transport: broker$'
	pid=$("$@" show -P MainPID aiacceld.service)
	like "$name: it runs in its sandbox" "$(cat "/proc/$pid/status")" $'NoNewPrivs:\t1.*Seccomp:\t2'
	ok "$name: restart" "$@" restart aiacceld.service
	like "$name: a program finds the next" "$(worker aiaccel engines)" 'nvml.*transport: broker$'
}
brokers "a user's" start worker systemctl --user
ok 'a user'"'"'s broker: stop' worker systemctl --user stop aiacceld.socket aiacceld.service
ok 'the units are for the host as well' systemctl link /usr/local/lib/systemd/user/aiacceld.{service,socket}
brokers "the host's" "enable --now" systemctl
like 'a user of its own, without rights' "$(cat "/proc/$(main_of aiacceld)/status")" $'Uid:\t6[0-9]{4}.*CapBnd:\t0+\n'
ok 'a service has turns' systemctl start server
ok 'by the rule for its user' eventually shows 'cuda +low .* uid:4242' aiaccel-top --once
ok 'restart under it' systemctl restart aiacceld
ok 'it is gated again' eventually said server 'gated again'
systemctl stop server
ok 'stop' systemctl stop aiacceld.socket aiacceld.service
like 'users have their own again' "$(worker aiaccel engines)" 'transport: broker$'
is 'no unit has failed' "$(systemctl --failed --plain --no-legend)" ''
tap_done
