// SPDX-License-Identifier: MIT
//
// aiaccel completion: what a shell has to know to complete command lines of aiaccel, written out of
// the same description that reads them and prints --help, so that neither can be ahead of the
// other.
//
// All three scripts find out by the words before the cursor which command it is, then offer its
// options, its commands and what its arguments mean. Only names of models are asked of aiaccel.
#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <vector>

#include "aiaccel/command.hpp"
#include "common/failure.hpp"

namespace tools {
namespace {

// What may stand in some place.
struct Values {
  bool files = false, folders = false, refs = false, programs = false;
  std::string words;  // with blanks between
};

struct Option {
  std::vector<std::string> names;  // with their dashes
  std::string what;
  bool takes_value = false;
  Values values;
};

struct Command {
  std::string path;  // "aiaccel model add"
  std::string name, what;
  std::vector<Option> options;
  std::vector<const Command*> commands;
  Values arguments;
};

using Commands = std::vector<std::unique_ptr<Command>>;

// The names of arguments are for people; these mean something.
void add_values(Values& values, const std::string& name) {
  const auto is = [&name](std::initializer_list<const char*> names) {
    return std::find(names.begin(), names.end(), name) != names.end();
  };
  values.files |= is({"FILE", "PATH", "MODEL", "BEFORE", "AFTER"});
  values.folders |= is({"DIR", "FOLDER"});
  values.refs |= is({"REF", "MODEL", "BEFORE", "AFTER"});
  values.programs |= is({"CMD"});
  if (is({"STAGE"})) values.words = "staging prod";
  if (is({"CLASS"})) values.words = "idle low normal high";
  if (is({"ORDER"})) values.words = "fair strict edf fifo";
  if (is({"SHELL"})) values.words = "bash zsh fish";
}

Option read_option(const CLI::Option& option) {
  Option result;
  for (const std::string& name : option.get_snames()) result.names.push_back("-" + name);
  for (const std::string& name : option.get_lnames()) result.names.push_back("--" + name);
  result.what = option.get_description();
  result.takes_value = option.get_expected_min() > 0;
  if (result.takes_value) add_values(result.values, option.get_type_name());
  if (option.check_lname("transport")) result.values.words = "kernel broker embedded auto";
  return result;
}

// Options of the whole program may stand behind a command too.
const Command* read_command(const CLI::App& app, const std::string& above,
                            const std::vector<Option>& everywhere, Commands& commands) {
  const auto command = commands.insert(commands.end(), std::make_unique<Command>())->get();
  command->name = app.get_name();
  command->path = above.empty() ? command->name : above + " " + command->name;
  command->what = app.get_description();
  for (const CLI::Option* option : app.get_options()) {
    if (option->get_group().empty()) continue;  // --help does not show it either
    if (option->nonpositional())
      command->options.push_back(read_option(*option));
    else
      add_values(command->arguments, option->get_name());
  }
  command->options.insert(command->options.end(), everywhere.begin(), everywhere.end());
  std::vector<Option> below = everywhere;
  if (above.empty())
    for (const Option& option : command->options)
      if (option.names.back() == "--transport") below.push_back(option);
  for (const CLI::App* sub : app.get_subcommands({}))
    command->commands.push_back(read_command(*sub, command->path, below, commands));
  return command;
}

// In single quotes, as all three shells read them but for what is inside.
std::string quoted_sh(const std::string& text) {
  std::string result = "'";
  for (const char c : text) result += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return result + "'";
}

std::string quoted_fish(const std::string& text) {
  std::string result = "'";
  for (const char c : text) {
    if (c == '\'' || c == '\\') result += '\\';
    result += c;
  }
  return result + "'";
}

// A pattern of `case` for each command below another, and for each option that takes a value.
std::vector<std::string> commands_below(const Commands& commands) {
  std::vector<std::string> patterns;
  for (const auto& command : commands)
    if (command != commands.front()) patterns.push_back(quoted_sh(command->path));
  return patterns;
}

std::vector<std::string> options_with_values(const Commands& commands) {
  std::vector<std::string> patterns;
  for (const auto& command : commands)
    for (const Option& option : command->options)
      if (option.takes_value)
        for (const std::string& name : option.names)
          patterns.push_back(quoted_sh(command->path + " " + name));
  return patterns;
}

std::string joined(const std::vector<std::string>& patterns) {
  return fmt::format("{}", fmt::join(patterns, "|"));
}

const char* kHead =
    "# SPDX-License-Identifier: MIT\n"
    "# Written by `aiaccel completion`.\n";

// What is to be offered: words, names of models, and what `compgen` knows.
std::string bash_values(const Values& values) {
  std::string text;
  if (!values.words.empty()) text += " words+=" + quoted_sh(" " + values.words);
  if (values.refs) text += " refs=1";
  if (values.files) text += " actions+=(-f)";
  if (values.folders) text += " actions+=(-d)";
  if (values.programs) text += " actions+=(-c -f)";
  return text.empty() ? " :" : text;
}

// bash splits words at @, : and = as well: so the line is read anew, and what readline keeps of the
// word is taken off again.
std::string bash_script(const Commands& commands) {
  std::string text = kHead;
  text +=
      "_aiaccel() {\n"
      "\tlocal line=${COMP_LINE:0:COMP_POINT} at=aiaccel value='' word words='' refs=''\n"
      "\tlocal -a typed actions=() registry=()\n"
      "\tread -ra typed <<<\"$line\"\n"
      "\t[[ $line == *[[:space:]] ]] && typed+=('')\n"
      "\tlocal cur=${typed[-1]}\n"
      "\tfor word in \"${typed[@]:1:${#typed[@]}-2}\"; do\n"
      "\t\tif [[ $value ]]; then\n"
      "\t\t\t[[ $value == --registry ]] && registry=(\"--registry=${word/#\\~/$HOME}\")\n"
      "\t\t\tvalue=''\n"
      "\t\t\tcontinue\n"
      "\t\tfi\n"
      "\t\t[[ $word == --registry=* ]] && registry=(\"$word\")\n"
      "\t\tcase \"$at $word\" in\n";
  text += fmt::format("\t\t{}) at+=\" $word\" ;;\n", joined(commands_below(commands)));
  text += fmt::format("\t\t{}) value=$word ;;\n", joined(options_with_values(commands)));
  text +=
      "\t\tesac\n"
      "\tdone\n"
      "\tif [[ $value ]]; then\n"
      "\t\tcase \"$at $value\" in\n";
  for (const auto& command : commands)
    for (const Option& option : command->options)
      if (const std::string values = bash_values(option.values);
          option.takes_value && values != " :")
        for (const std::string& name : option.names)
          text += fmt::format("\t\t{}){} ;;\n", quoted_sh(command->path + " " + name), values);
  text +=
      "\t\tesac\n"
      "\telif [[ $cur == -* ]]; then\n"
      "\t\tcase \"$at\" in\n";
  for (const auto& command : commands) {
    std::string names;
    for (const Option& option : command->options)
      for (const std::string& name : option.names) names += (names.empty() ? "" : " ") + name;
    text += fmt::format("\t\t{}) words={} ;;\n", quoted_sh(command->path), quoted_sh(names));
  }
  text +=
      "\t\tesac\n"
      "\telse\n"
      "\t\tcase \"$at\" in\n";
  for (const auto& command : commands) {
    Values values = command->arguments;
    for (const Command* sub : command->commands)
      values.words += (values.words.empty() ? "" : " ") + sub->name;
    text += fmt::format("\t\t{}){} ;;\n", quoted_sh(command->path), bash_values(values));
  }
  text +=
      "\t\tesac\n"
      "\tfi\n"
      "\tmapfile -t COMPREPLY < <(\n"
      "\t\tcompgen -W \"$words\" -- \"$cur\"\n"
      // Not by -W, which expands what it is given: names come from others.
      "\t\t[[ $refs ]] && aiaccel model ls --refs \"${registry[@]}\" 2>/dev/null |\n"
      "\t\t\twhile read -r word; do [[ $word == \"$cur\"* ]] && printf '%s\\n' \"$word\"; done\n"
      "\t\t[[ ${#actions[@]} -gt 0 ]] && compgen \"${actions[@]}\" -- \"$cur\"\n"
      "\t)\n"
      "\tlocal kept=${cur%\"${cur##*[@:=]}\"}\n"
      "\tCOMPREPLY=(\"${COMPREPLY[@]#\"$kept\"}\")\n"
      "}\n"
      "complete -o filenames -F _aiaccel aiaccel\n";
  return text;
}

// `name:what it is`, as _describe takes them.
std::string described(const std::vector<std::string>& names, const std::string& what) {
  std::string text;
  for (const std::string& name : names) text += " " + quoted_sh(name + ":" + what);
  return text;
}

std::string zsh_values(const Values& values) {
  std::string text;
  if (!values.words.empty()) text += " compadd -- " + values.words + ";";
  if (values.refs)
    text += " compadd -- ${(f)\"$(aiaccel model ls --refs $registry 2>/dev/null)\"};";
  if (values.files) text += " _files;";
  if (values.folders) text += " _files -/;";
  if (values.programs) text += " _command_names -e; _files;";
  return text;
}

std::string zsh_script(const Commands& commands) {
  std::string text = fmt::format("#compdef aiaccel\n{}", kHead);
  text +=
      "_aiaccel() {\n"
      "\tlocal at=aiaccel value='' word\n"
      "\tlocal -a commands options registry\n"
      "\tfor word in \"${(@)words[2,CURRENT-1]}\"; do\n"
      "\t\tif [[ -n $value ]]; then\n"
      "\t\t\t[[ $value == --registry ]] && registry=(--registry=${${(Q)word}/#\\~/$HOME})\n"
      "\t\t\tvalue=''\n"
      "\t\t\tcontinue\n"
      "\t\tfi\n"
      "\t\t[[ $word == --registry=* ]] && registry=(${(Q)word})\n"
      "\t\tcase \"$at $word\" in\n";
  text += fmt::format("\t\t({}) at+=\" $word\" ;;\n", joined(commands_below(commands)));
  text += fmt::format("\t\t({}) value=$word ;;\n", joined(options_with_values(commands)));
  text +=
      "\t\tesac\n"
      "\tdone\n"
      "\tif [[ -n $value ]]; then\n"
      "\t\tcase \"$at $value\" in\n";
  for (const auto& command : commands)
    for (const Option& option : command->options)
      if (const std::string values = zsh_values(option.values);
          option.takes_value && !values.empty())
        for (const std::string& name : option.names)
          text += fmt::format("\t\t({}){}; ;;\n", quoted_sh(command->path + " " + name),
                              values.substr(0, values.size() - 1));
  text +=
      "\t\tesac\n"
      "\t\treturn\n"
      "\tfi\n"
      "\tcase \"$at\" in\n";
  for (const auto& command : commands) {
    text += fmt::format("\t({})\n", quoted_sh(command->path));
    std::string subs;
    for (const Command* sub : command->commands) subs += described({sub->name}, sub->what);
    std::string options;
    for (const Option& option : command->options) options += described(option.names, option.what);
    if (!subs.empty()) text += fmt::format("\t\tcommands=({})\n", subs.substr(1));
    text += fmt::format("\t\toptions=({})\n", options.substr(1));
    if (const std::string values = zsh_values(command->arguments); !values.empty())
      text += fmt::format("\t\t[[ $PREFIX == -* ]] || {{{} }}\n", values);
    text += "\t\t;;\n";
  }
  text +=
      "\tesac\n"
      "\t(( ${#commands} )) && _describe -t commands command commands\n"
      "\t_describe -t options option options\n"
      "}\n"
      "if [[ $funcstack[1] == _aiaccel ]]; then\n"
      "\t_aiaccel \"$@\"\n"
      "else\n"
      "\tcompdef _aiaccel aiaccel\n"
      "fi\n";
  return text;
}

// What `complete` is told of values: -x for none, or none but those.
std::string fish_values(const Values& values) {
  std::string words = values.words;
  if (values.refs) words += "(__aiaccel_refs)";
  if (values.folders) words += "(__fish_complete_directories)";
  if (values.programs) words += "(__fish_complete_command)";
  const bool files = values.files || values.programs;
  return (files ? " -F" : " -f") + (words.empty() ? "" : " -a " + quoted_fish(words));
}

std::string fish_script(const Commands& commands) {
  std::string text = kHead;
  text +=
      "function __aiaccel_at\n"
      "    set -l at aiaccel\n"
      "    set -l value ''\n"
      "    for word in (commandline -opc)[2..-1]\n"
      "        if test -n \"$value\"\n"
      "            set value ''\n"
      "            continue\n"
      "        end\n"
      "        switch \"$at $word\"\n";
  text += fmt::format("            case {}\n                set at \"$at $word\"\n",
                      fmt::join(commands_below(commands), " "));
  text += fmt::format("            case {}\n                set value $word\n",
                      fmt::join(options_with_values(commands), " "));
  text +=
      "        end\n"
      "    end\n"
      "    test \"$at\" = \"$argv\"\n"
      "end\n"
      "function __aiaccel_refs\n"
      "    set -l registry\n"
      "    set -l before ''\n"
      "    for word in (commandline -opc)\n"
      "        test \"$before\" = --registry\n"
      "        and set registry \"--registry=\"(string replace -r '^~' \"$HOME\" -- $word)\n"
      "        string match -q -- '--registry=*' $word\n"
      "        and set registry $word\n"
      "        set before $word\n"
      "    end\n"
      "    aiaccel model ls --refs $registry 2>/dev/null\n"
      "end\n"
      "complete -c aiaccel -f\n";
  for (const auto& command : commands) {
    const std::string begin =
        fmt::format("complete -c aiaccel -n {}", quoted_fish("__aiaccel_at " + command->path));
    for (const Command* sub : command->commands)
      text += fmt::format("{} -a {} -d {}\n", begin, sub->name, quoted_fish(sub->what));
    const Values& arguments = command->arguments;
    if (arguments.files || arguments.folders || arguments.refs || arguments.programs ||
        !arguments.words.empty())
      text += fmt::format("{}{}\n", begin, fish_values(arguments));
    for (const Option& option : command->options) {
      text += begin;
      for (const std::string& name : option.names)
        text += name.starts_with("--") ? " -l " + name.substr(2) : " -s " + name.substr(1);
      if (option.takes_value) text += " -r" + fish_values(option.values);
      text += fmt::format(" -d {}\n", quoted_fish(option.what));
    }
  }
  return text;
}

int print(const CLI::App& app, const std::string& shell) {
  Commands commands;
  read_command(app, "", {}, commands);
  std::string text;
  if (shell == "bash") text = bash_script(commands);
  if (shell == "zsh") text = zsh_script(commands);
  if (shell == "fish") text = fish_script(commands);
  fmt::print("{}", text);
  return exit_ok;
}

}  // namespace

void add_completion(CLI::App& app, Globals& globals) {
  auto shell = std::make_shared<std::string>();
  CLI::App* command =
      app.add_subcommand("completion", "Print what a shell needs to complete command lines");
  command->add_option("SHELL", *shell, "bash, zsh or fish")
      ->required()
      ->check(CLI::IsMember({"bash", "zsh", "fish"}).description(""));
  command->callback([&app, &globals, shell] { globals.status = print(app, *shell); });
}

}  // namespace tools
