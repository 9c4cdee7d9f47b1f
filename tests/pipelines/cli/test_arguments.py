"""Help texts and their examples, arguments that are refused by name, and what is imported for them."""

import argparse
import shlex
import subprocess
import sys

import pytest

from episeek_pipelines.cli.arguments import Parser, episode_list
from episeek_pipelines.cli.extras import install_hint_for
from episeek_pipelines.cli.main import main
from episeek_pipelines.cli.parser import COMMANDS, make_parser
from tests.broken.catalogue import CASES
from tests.support.amount import full_run
from tests.support.broken_datasets import copy_of
from tests.support.build_index import DATA


def help_of(*command: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "episeek_pipelines.cli", *command, "--help"],
        capture_output=True,
        text=True,
        check=True,
        env={"COLUMNS": "80", "PYTHONPATH": ":".join(sys.path)},
    )
    return done.stdout


def refused(capsys, *arguments: object) -> str:
    """Return the one line that a command prints when it refuses its arguments."""
    code: str | int | None
    try:
        code = main([str(argument) for argument in arguments])
    except SystemExit as exit:
        code = exit.code
    captured = capsys.readouterr()
    assert (code, captured.out, captured.err.count("\n")) == (2, "", 1)
    return captured.err


@pytest.mark.parametrize("name", COMMANDS)
def test_examples_can_be_parsed(name: str, capsys):
    with pytest.raises(SystemExit):
        make_parser().parse_args([name, "--help"])
    text = capsys.readouterr().out
    examples = [line.strip() for line in text.partition("examples:")[2].splitlines() if line.startswith("  episeek ")]
    assert examples or name == "completion"
    for example in examples:
        words = shlex.split(example.partition(" | ")[0].partition(" > ")[0])
        assert words[1] == name
        make_parser().parse_args(words[1:])


def test_help_is_wrapped_and_examples_are_not():
    text = help_of("verify")
    assert "\n  episeek verify out/pusht --data-root data/pusht --against data/pusht\n" in text
    prose = [line for line in text.splitlines() if not line.startswith("  episeek ")]
    assert max(map(len, prose)) <= 80


def test_parsing_imports_nothing_that_is_slow():
    script = (
        "import sys\n"
        "from episeek_pipelines.cli.parser import COMMANDS, make_parser\n"
        "for name in COMMANDS:\n"
        "    try:\n"
        "        make_parser().parse_args([name, '--help'])\n"
        "    except SystemExit:\n"
        "        pass\n"
        "slow = {'numpy', 'pyarrow', 'fsspec', 'dask', 'pandas', 'pandera', 'yaml', 'tqdm', 'jinja2', 'huggingface_hub'}\n"
        "print(sorted(slow & sys.modules.keys()), file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stderr == "[]\n"


@pytest.mark.parametrize("command", ["inspect", "verify"])
@pytest.mark.parametrize("indexed", [False, True])
def test_a_small_dataset_is_looked_at_without_slow_imports(command: str, indexed: bool, tmp_path):
    script = (
        "import sys\n"
        "from episeek_pipelines.cli.main import main\n"
        "code = main(sys.argv[1:])\n"
        "slow = {'dask', 'pandas', 'pandera', 'fsspec', 'tqdm', 'jinja2', 'huggingface_hub', 'pyarrow.dataset'}\n"
        "print(code, sorted(slow & sys.modules.keys()), file=sys.stderr)\n"
    )
    arguments = [sys.executable, "-c", script, command, str(copy_of("av1_multifile", tmp_path, indexed=indexed))]
    done = subprocess.run(arguments, capture_output=True, text=True, check=True)
    assert done.stderr == "0 []\n"


@full_run
def test_rows_with_defects_are_read_without_slow_imports(tmp_path):
    """Nulls, lists of wrong lengths and annotations, of a local dataset at the default level."""
    codes = ("INF003", "ROW015", "ROW016", "ROW017", "ROW018", "ROW020", "ROW030", "TSK014")
    roots = [tmp_path / case.folder for case in CASES if case.all_codes & set(codes) and not case.against]
    for case in CASES:
        if tmp_path / case.folder in roots:
            case.make(tmp_path / case.folder)
    script = (
        "import sys\n"
        "from episeek_pipelines.cli.main import main\n"
        "codes = {main(['verify', '--quiet', root]) for root in sys.argv[1:]}\n"
        "slow = {'dask', 'pandas', 'pandera', 'yaml', 'fsspec', 'tqdm', 'jinja2', 'huggingface_hub', 'pyarrow.dataset'}\n"
        "print(codes, sorted(slow & sys.modules.keys()), file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, *map(str, roots)], capture_output=True, text=True, check=True)
    assert len(roots) > 40
    assert done.stderr == "{0, 1} []\n"


@pytest.mark.parametrize("command", ["verify", "inspect", "index", "extract", "prepare", "rewrite"])
def test_a_name_of_the_hub_gets_a_hint(command: str, tmp_path, capsys):
    more = {
        "extract": ("--episode", 0, "-o", tmp_path / "x.mp4"),
        "prepare": (tmp_path / "out",),
        "rewrite": (tmp_path / "out",),
    }
    error = refused(capsys, command, "lerobot/pusht", *more.get(command, ()))
    assert "lerobot/pusht: found no such directory" in error
    assert error.endswith("; hint: give hf://datasets/lerobot/pusht for a dataset on the Hub\n")


def test_json_and_another_format_are_refused(capsys):
    error = refused(capsys, "verify", DATA / "images", "--json", "--format", "html")
    assert error == "episeek: error: --json: found with --format html; expected one of them\n"
    assert main(["verify", str(DATA / "images"), "--json", "--format", "json"]) == 0


def test_an_option_that_is_given_twice_is_refused(tmp_path, capsys):
    twice = ("--camera", "top", "--camera", "wrist")
    error = refused(capsys, "extract", DATA / "hevc", "--episode", 0, *twice, "-o", tmp_path / "x.mp4")
    assert error.startswith("episeek: error: argument --camera: found twice; expected once")
    assert make_parser().parse_args(["extract", "x", "--episode", "0", "-o", "y"]).camera is None


def test_arguments_are_added_once():
    added: list[Parser] = []
    parser = Parser(add_arguments=added.append)
    parser.parse_args([])
    parser.parse_args([])
    assert added == [parser]
    assert isinstance(parser, argparse.ArgumentParser)


def test_a_missing_package_is_named_with_its_extra():
    assert install_hint_for("distributed.client") == "pip install 'episeek[prepare]'"
    assert install_hint_for("s3fs") == "pip install 'episeek[s3]'"
    assert install_hint_for("nothing_of_ours") is None


def test_lists_of_episodes():
    assert episode_list("17, 3,20-22,21") == (3, 17, 20, 21, 22)
    for text in ("", "3-", "3-x", "5-3", "-1", "1.5", "0-999999999"):
        with pytest.raises(argparse.ArgumentTypeError, match="expected numbers of episodes"):
            episode_list(text)
