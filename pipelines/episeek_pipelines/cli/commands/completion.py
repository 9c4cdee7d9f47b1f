"""`episeek completion`: print a script that makes a shell complete commands, options and their values."""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from episeek_pipelines.cli.arguments import Parser, with_examples
from episeek_pipelines.cli.outcome import Outcome

SHELLS: Final = ("bash", "zsh", "fish")


@dataclass(frozen=True, slots=True)
class Option:
    """The parts of an option that a completion script needs."""

    names: tuple[str, ...]
    help: str
    takes_value: bool
    choices: tuple[str, ...]
    """Values that the shell offers for the option. If there are none, the shell offers the names of files."""


@dataclass(frozen=True, slots=True)
class Command:
    """The parts of a command that a completion script needs."""

    name: str
    help: str
    options: tuple[Option, ...]
    words: tuple[str, ...]
    """Values that the shell offers for positional arguments. If there are none, the shell offers the names of files."""


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Add the arguments of `completion`."""
    command.description = "Print a script that completes commands, options and values of episeek in a shell."
    command.epilog = with_examples(
        (
            "bash: complete in this session; add the line to ~/.bashrc for all sessions",
            'eval "$(episeek completion bash)"',
        ),
        ("zsh: the same; for all sessions, add it to ~/.zshrc after compinit", 'eval "$(episeek completion zsh)"'),
        ("fish: complete in all sessions", "episeek completion fish > ~/.config/fish/completions/episeek.fish"),
    )
    command.add_argument("shell", choices=SHELLS, metavar="SHELL", help=f"one of {', '.join(SHELLS)}")


def run(options: argparse.Namespace) -> Outcome:
    """Run `episeek completion`, and return the lines of the script."""
    from episeek_pipelines.cli.parser import make_parser

    commands = list(commands_of(make_parser()))
    lines = {"bash": _bash_lines, "zsh": _zsh_lines, "fish": _fish_lines}[options.shell](commands)
    return Outcome(tuple(lines))


def commands_of(parser: Parser) -> Iterator[Command]:
    """Yield the commands of a parser, each with all of its options."""
    for action in parser._actions:
        if not isinstance(action, argparse._SubParsersAction):
            continue
        helps = {choice.dest: choice.help or "" for choice in action._choices_actions}
        for name, command in action.choices.items():
            if isinstance(command, Parser):
                command.complete()
            words = [str(word) for argument in command._get_positional_actions() for word in argument.choices or ()]
            # A command with actions, such as batch, offers the options of all of its actions.
            options = {option.names: option for option in _options_of(command)}
            yield Command(name, helps[name], tuple(options.values()), tuple(words))


def _options_of(command: argparse.ArgumentParser) -> Iterator[Option]:
    for argument in command._actions:
        if isinstance(argument, argparse._SubParsersAction):
            for inner in argument.choices.values():
                yield from _options_of(inner)
        elif argument.option_strings:
            yield Option(
                tuple(argument.option_strings),
                (argument.help or "").partition("; ")[0].partition(" (default:")[0],
                argument.nargs != 0,
                tuple(map(str, argument.choices or ())),
            )


def _bash_lines(commands: list[Command]) -> Iterator[str]:
    yield "# bash completion of episeek"
    yield "_episeek() {"
    yield '    local word="${COMP_WORDS[COMP_CWORD]}" before="${COMP_WORDS[COMP_CWORD-1]}" words=""'
    yield "    COMPREPLY=()"
    yield '    if [ "$COMP_CWORD" -eq 1 ]; then'
    yield f'        COMPREPLY=($(compgen -W "{_joined(commands)} --help --version" -- "$word"))'
    yield "        return"
    yield "    fi"
    yield '    case "${COMP_WORDS[1]} $before" in'
    for command in commands:
        for option in command.options:
            if option.takes_value:
                pattern = " | ".join(f'"{command.name} {name}"' for name in option.names)
                reply = f'COMPREPLY=($(compgen -W "{" ".join(option.choices)}" -- "$word"))' if option.choices else ":"
                yield f"        {pattern}) {reply}; return ;;"
    yield "    esac"
    yield '    case "${COMP_WORDS[1]}" in'
    for command in commands:
        yield f'        {command.name}) words="{" ".join(_names(command))}" ;;'
    yield "    esac"
    yield '    if [ "${word:0:1}" = - ]; then'
    yield '        COMPREPLY=($(compgen -W "$words" -- "$word"))'
    for command in commands:
        if command.words:
            yield f'    elif [ "${{COMP_WORDS[1]}}" = {command.name} ]; then'
            yield f'        COMPREPLY=($(compgen -W "{" ".join(command.words)}" -- "$word"))'
    yield "    fi"
    yield "}"
    # The shell offers the names of files if it has no other completion.
    yield "complete -o default -F _episeek episeek"


def _zsh_lines(commands: list[Command]) -> Iterator[str]:
    yield "#compdef episeek"
    yield "_episeek() {"
    yield "    if (( CURRENT == 2 )); then"
    yield "        local -a commands=("
    for command in commands:
        yield f"            {_quoted(f'{command.name}:{command.help}')}"
    yield "        )"
    yield "        _describe command commands"
    yield "        return"
    yield "    fi"
    yield '    local command="${words[2]}"'
    yield "    shift words; (( CURRENT-- ))"
    yield '    case "$command" in'
    for command in commands:
        yield f"        {command.name})"
        yield "            _arguments \\"
        for option in command.options:
            for name in option.names:
                value = "" if not option.takes_value else f":value:{_zsh_values(option.choices)}"
                yield f"                {_quoted(f'*{name}[{_zsh_text(option.help)}]{value}')} \\"
        yield f"                {_quoted(f'*:argument:{_zsh_values(command.words)}')}"
        yield "            ;;"
    yield "    esac"
    yield "}"
    yield "compdef _episeek episeek"


def _fish_lines(commands: list[Command]) -> Iterator[str]:
    yield "# fish completion of episeek"
    for command in commands:
        yield f"complete -c episeek -f -n __fish_use_subcommand -a {command.name} -d {_fish_quoted(command.help)}"
    for command in commands:
        start = f"complete -c episeek -n '__fish_seen_subcommand_from {command.name}'"
        if command.words:
            yield f"{start} -f -a {_fish_quoted(' '.join(command.words))}"
        for option in command.options:
            names = " ".join(f"-l {name[2:]}" if name.startswith("--") else f"-s {name[1:]}" for name in option.names)
            value = " -r" if option.takes_value else ""
            choices = f" -f -a {_fish_quoted(' '.join(option.choices))}" if option.choices else ""
            yield f"{start} {names}{value}{choices} -d {_fish_quoted(option.help)}"


def _joined(commands: list[Command]) -> str:
    return " ".join(command.name for command in commands)


def _names(command: Command) -> list[str]:
    return [name for option in command.options for name in option.names]


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def _fish_quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _zsh_text(text: str) -> str:
    return text.replace("[", "\\[").replace("]", "\\]").replace(":", "\\:")


def _zsh_values(values: tuple[str, ...]) -> str:
    return f"({' '.join(values)})" if values else "_files"
