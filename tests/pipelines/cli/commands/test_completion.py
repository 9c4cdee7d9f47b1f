"""`episeek completion`: bash completes with the script; each script offers all commands and options."""

import shutil
import subprocess

import pytest

from episeek_pipelines.cli.commands.completion import SHELLS, commands_of
from episeek_pipelines.cli.main import main
from episeek_pipelines.cli.parser import COMMANDS, make_parser


def script(shell: str, capsys) -> str:
    assert main(["completion", shell]) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("shell", SHELLS)
def test_a_script_offers_every_command_and_option(shell: str, capsys):
    text = script(shell, capsys)
    commands = list(commands_of(make_parser()))
    assert [command.name for command in commands] == list(COMMANDS)
    for command in commands:
        for option in command.options:
            for name in option.names:
                assert (name.lstrip("-") if shell == "fish" else name) in text


@pytest.mark.parametrize("shell", SHELLS)
def test_a_shell_reads_its_script(shell: str, capsys):
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"{shell} is not installed")
    done = subprocess.run([program, "-n"], input=script(shell, capsys), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ((""), [*COMMANDS, "--help", "--version"]),
        (("ver",), ["verify"]),
        (("verify", "--level", ""), ["meta", "layout", "rows", "decode"]),
        (("verify", "--baseline", ""), []),
        (("extract", "--cam"), ["--camera"]),
        (("completion", "z"), ["zsh"]),
        (("verify", "data"), []),
    ],
)
def test_bash_completes(words: tuple[str, ...], expected: list[str], capsys):
    words = words or ("",)
    line = " ".join(f"'{word}'" for word in ("episeek", *words))
    program = script("bash", capsys)
    program += f'COMP_WORDS=({line}); COMP_CWORD={len(words)}; _episeek; printf "%s\\n" "${{COMPREPLY[@]}}"'
    done = subprocess.run(["bash", "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == expected
