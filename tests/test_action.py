"""`action.yml` and `.pre-commit-hooks.yaml`: what they declare, and their scripts run as GitHub and pre-commit run them."""

import json
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import yaml

from tests.support.amount import full_run
from tests.support.broken_datasets import copy_of, data, edit_info, set_value
from tests.support.composite_action import Action, Run, expressions
from tests.support.warm_python import WarmPython

REPOSITORY = Path(__file__).parents[1]
ACTION = REPOSITORY / "action.yml"
BIN = Path(sys.executable).parent
DOCUMENT: dict[str, Any] = yaml.safe_load(ACTION.read_text())
STEPS: list[dict[str, Any]] = DOCUMENT["runs"]["steps"]
HOSTILE = "; touch pwned #$(touch pwned)`touch pwned`'\" && touch pwned"
REPORTS = {
    "html": "episeek.html",
    "sarif": "episeek.sarif",
    "json": "episeek.json",
    "junit": "episeek.xml",
    "markdown": "episeek.md",
}

Verify = Callable[..., Run]


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    folder = tmp_path / "the workspace"
    folder.mkdir()
    return folder


@pytest.fixture
def verify_installed(workspace: Path, tmp_path: Path) -> Verify:
    """The action with the episeek of this environment in the place of the one that it installs."""
    return verify_with(BIN, workspace, tmp_path)


@pytest.fixture
def verify(workspace: Path, tmp_path: Path, warm_python: WarmPython) -> Verify:
    """The same, without waiting for its imports."""
    bin = tmp_path / "bin"
    bin.mkdir()
    (bin / "python").symlink_to(sys.executable)
    warm_python.command(bin / "episeek", "from episeek_pipelines.cli.main import main; sys.exit(main())")
    return verify_with(bin, workspace, tmp_path)


def verify_with(bin: Path, workspace: Path, tmp_path: Path) -> Verify:
    count = iter(range(100))

    def run(**inputs: str) -> Run:
        action = Action(ACTION, workspace, tmp_path / f"runner temp {next(count)}")
        return action.run(instead_of={"python": {}, "install": {"bin": str(bin)}}, **inputs)

    return run


@pytest.fixture
def arguments(workspace: Path, tmp_path: Path) -> Callable[..., list[str]]:
    """What the action tells episeek, which is a script here, as starting it takes a second."""
    bin, told = tmp_path / "bin", tmp_path / "told"
    bin.mkdir()
    (bin / "python").symlink_to(sys.executable)
    (bin / "episeek").write_text(f"#!/bin/sh\nprintf '%s\\0' \"$@\" >{shlex.quote(str(told))}\n")
    (bin / "episeek").chmod(0o755)

    def run(**inputs: str) -> list[str]:
        told.unlink(missing_ok=True)
        action = Action(ACTION, workspace, tmp_path / "runner")
        run = action.run(instead_of={"python": {}, "install": {"bin": str(bin)}}, **inputs)
        return told.read_text().removesuffix("\0").split("\0") if told.exists() else [f"exit code {run.exit_code}"]

    return run


def broken(workspace: Path, name: str) -> Path:
    """An error that the metadata shows, and one in the rows of a file."""
    root = copy_of("images", workspace, name=name)
    edit_info(root, total_frames=1)
    set_value(root, data(0), "timestamp", 2, 9.0)
    return root


def annotated_files(run: Run) -> set[str]:
    found = [re.match(r"::error file=([^,]*),", line) for line in run.commands("error")]
    return {match[1] for match in found if match}


def sarif_uris(run: Run) -> set[tuple[str, str]]:
    places = [
        location["physicalLocation"]["artifactLocation"]
        for result in json.loads(Path(run.outputs["sarif"]).read_text())["runs"][0]["results"]
        for location in result["locations"]
    ]
    return {(place["uriBaseId"], place["uri"]) for place in places}


# --- what it declares ------------------------------------------------------------------------------------------------------------


def test_every_input_is_declared_and_used():
    steps = yaml.safe_dump(STEPS)
    used = {name for text in expressions(steps) for name in re.findall(r"inputs\.([a-z-]+)", text)}
    assert used == DOCUMENT["inputs"].keys()
    for name, about in DOCUMENT["inputs"].items():
        assert isinstance(about["default"], str), f"{name}: {about['default']!r} is no text, which all inputs are"
        assert about["description"]


def test_no_expression_stands_in_a_script():
    scripts = [step for step in STEPS if "run" in step]
    assert len(scripts) == 2
    for step in scripts:
        assert "${{" not in step["run"]
        assert step["shell"] == "bash"
        assert step["run"].startswith("set -euo pipefail\n")


def test_each_variable_of_a_script_is_in_its_environment():
    for step in STEPS:
        if "run" in step:
            used = set(re.findall(r"\$\{?((?:INPUT|EPISEEK|PYTHON)[A-Z_]*)", step["run"]))
            assert used == {name for name in step["env"] if not name.startswith(("PIP_", "NO_COLOR"))}


def test_outputs_are_those_that_the_steps_set():
    set_by = {
        step["id"]: set(re.findall(r'^ *output ([a-z-]+) "', step["run"], re.M))
        | set(re.findall(r'echo "([a-z-]+)=', step["run"]))
        for step in STEPS
        if "run" in step
    }
    set_by["verify"] |= REPORTS.keys()
    used = set()
    for about in DOCUMENT["outputs"].values():
        for step, name in re.findall(r"steps\.([a-z]+)\.outputs\.([a-z-]+)", about["value"]):
            assert name in set_by[step]
            used.add((step, name))
    assert {name for step, name in used if step == "verify"} == set_by["verify"] == DOCUMENT["outputs"].keys()


# --- a good, a broken and no dataset ---------------------------------------------------------------------------------------------


def test_a_good_dataset(workspace: Path, verify: Verify):
    copy_of("images", workspace, name="ds")
    run = verify(dataset="ds")
    assert run.exit_code == 0
    assert {name: run.outputs[name] for name in ("exit-code", "errors", "warnings")} == {
        "exit-code": "0",
        "errors": "0",
        "warnings": "0",
    }
    assert run.commands("error") == []
    assert run.commands("notice")
    assert run.summary.startswith("## episeek verify passed")
    assert "0 errors, 0 warnings at level rows" in run.log


def test_a_broken_dataset_and_its_reports(workspace: Path, verify_installed: Verify):
    broken(workspace, "robots/pick")
    run = verify_installed(dataset="./robots/pick/", level="rows")
    assert run.exit_code == 1
    assert (run.outputs["exit-code"], run.outputs["errors"]) == ("1", "2")
    assert annotated_files(run) == {"robots/pick/meta/info.json", f"robots/pick/{data(0)}"}
    assert run.summary.startswith("## episeek verify failed")
    assert "could not be run" not in run.log + run.summary
    for kind, name in REPORTS.items():
        assert Path(run.outputs[kind]) == Path(run.outputs["reports"], name)
    assert run.summary == Path(run.outputs["markdown"]).read_text()
    assert json.loads(Path(run.outputs["json"]).read_text())["summary"]["errors"] == 2
    assert ElementTree.parse(run.outputs["junit"]).getroot().tag == "testsuites"
    assert Path(run.outputs["html"]).read_text().startswith("<!doctype html>")
    expected = ("meta/info.json", data(0))
    assert sarif_uris(run) == {("%SRCROOT%", f"robots/pick/{path}") for path in expected}


def test_no_dataset(workspace: Path, verify_installed: Verify):
    run = verify_installed(dataset="nothing <here>")
    assert run.exit_code == 2
    (line,) = run.commands("error")
    assert line.startswith("::error title=episeek verify could not be run::episeek: error: nothing <here>")
    assert run.summary.startswith("## episeek verify could not be run\n")
    assert "nothing &lt;here&gt;" in run.summary
    assert run.outputs == dict.fromkeys(DOCUMENT["outputs"], "") | {"exit-code": "2"}


def test_what_cannot_be_run_is_told_from_findings(workspace: Path, verify: Verify):
    broken(workspace, "ds")
    for inputs in ({"level": "most"}, {"select": "VID99"}, {"reports": "html docx"}):
        run = verify(**{"dataset": "ds", **inputs})
        assert (run.exit_code, run.outputs["exit-code"]) == (2, "2")
        assert len(run.commands("error")) == 1
    assert verify(dataset="").exit_code == 2


def test_a_dataset_at_the_top(workspace: Path, verify: Verify):
    shutil.copytree(broken(workspace.parent, "ds"), workspace, dirs_exist_ok=True)
    run = verify(level="rows")
    assert annotated_files(run) == {"meta/info.json", data(0)}
    assert sarif_uris(run) >= {("%SRCROOT%", "meta/info.json"), ("%SRCROOT%", data(0))}


def test_the_dataset_that_it_is_compared_with(workspace: Path, verify: Verify):
    copy_of("images", workspace, name="new")
    copy_of("images", workspace, name="old")
    (workspace / "old" / data(0)).write_bytes(b"PAR1")
    run = verify(dataset="new", against="old", fail_on="error")
    assert run.exit_code == 1
    assert str(workspace / "old" / data(0)) in annotated_files(run)  # the runner makes it relative to the workspace
    assert ("%SRCROOT%", f"old/{data(0)}") in sarif_uris(run)


# --- inputs ----------------------------------------------------------------------------------------------------------------------


@full_run
def test_each_input_is_an_argument(workspace: Path, arguments: Callable[..., list[str]]):
    same = ("level", "select", "ignore", "fail-on", "baseline", "config", "world-size", "num-workers", "data-root")
    alone = [text for text in arguments() if not text.startswith("--output=")]
    assert alone == ["verify", "--", "."]
    for name in same:
        assert set(arguments(**{name.replace("-", "_"): "a b"})) > {f"--{name}=a b"}
    assert f"--against={workspace}/old one" in arguments(against="old one")
    assert "--against=hf://datasets/a/b" in arguments(against="hf://datasets/a/b")
    assert arguments(dataset="s3://a//b/")[-1] == "s3://a//b/"
    assert arguments(dataset="a//b/../c/")[-1] == "a/c"
    given = arguments(extra_arguments="--prepared\n\n  --seed\n 3\t\r\n--baseline=accepted ones.json\n*")
    assert given[1:6] == ["--prepared", "--seed", "3", "--baseline=accepted ones.json", "*"]


def test_accepting_what_is_there(workspace: Path, verify: Verify):
    broken(workspace, "ds")
    written = verify(dataset="ds", extra_arguments="--write-baseline\naccepted ones.json")
    assert (written.exit_code, written.outputs["exit-code"]) == (0, "0")
    assert Path(written.outputs["sarif"]).is_file()  # what is accepted, as it was found
    run = verify(dataset="ds", baseline="accepted ones.json")
    assert (run.exit_code, run.outputs["errors"]) == (0, "0")


def test_annotations_and_reports_can_be_left_out(workspace: Path, verify: Verify):
    broken(workspace, "ds")
    run = verify(dataset="ds", annotations="false", reports="")
    assert (run.exit_code, run.outputs["reports"], run.outputs["errors"]) == (1, "", "2")
    assert run.commands("error") == run.commands("notice") == []


def test_reports_can_be_chosen(workspace: Path, verify: Verify):
    copy_of("images", workspace, name="ds")
    run = verify(dataset="ds", reports="junit,html", reports_folder="my reports")
    assert (run.outputs["reports"], run.outputs["junit"], run.outputs["sarif"]) == (
        "my reports",
        "my reports/episeek.xml",
        "",
    )
    assert {path.name for path in (workspace / "my reports").iterdir()} == {"episeek.xml", "episeek.html"}


@pytest.mark.parametrize("name", ["::error ::a name, with 100% & é", "-x", HOSTILE])
def test_any_name_of_a_dataset(workspace: Path, verify: Verify, name: str):
    broken(workspace, f"sub/{name}").rename(workspace / name)
    run = verify(dataset=name, select="INF009")
    assert (run.exit_code, run.outputs["errors"]) == (1, "1")
    assert {path.name for path in workspace.iterdir()} == {name, "sub"}
    escaped = name.replace("%", "%25").replace(":", "%3A").replace(",", "%2C")
    assert annotated_files(run) == {f"{escaped}/meta/info.json"}


@full_run
def test_no_input_is_run(workspace: Path, arguments: Callable[..., list[str]]):
    for name in DOCUMENT["inputs"].keys() - {"python", "python-version", "version"}:
        told = arguments(**{name.replace("-", "_"): HOSTILE})
        if name == "reports":
            assert told == ["exit code 2"]
        elif name != "annotations":
            assert any(HOSTILE in text for text in told), name
        assert not list(workspace.rglob("pwned")), name


def test_what_episeek_prints_is_no_command(workspace: Path, tmp_path: Path):
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/python").symlink_to(sys.executable)
    script = "#!/bin/sh\necho ' ::error title=x::injected'\necho '::error title=y::injected' >&2\nexit 3\n"
    (tmp_path / "bin/episeek").write_text(script)
    (tmp_path / "bin/episeek").chmod(0o755)
    action = Action(ACTION, workspace, tmp_path / "runner")
    run = action.run(instead_of={"python": {}, "install": {"bin": str(tmp_path / "bin")}})
    assert (run.exit_code, run.outputs["exit-code"]) == (3, "3")
    assert run.log.count("injected\n") == 3
    assert run.commands("error") == [
        "::error title=episeek verify could not be run::::error title=y::injected"  # as its message
    ]


@full_run
def test_modules_of_the_workspace_are_not_imported(workspace: Path, verify_installed: Verify):
    shutil.copytree(copy_of("images", workspace.parent), workspace, dirs_exist_ok=True)
    for module in ("json", "pip", "os", "site", "episeek"):
        (workspace / f"{module}.py").write_text("raise SystemExit('imported from the workspace')\n")
    assert verify_installed().exit_code == 0


# --- what is installed -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("inputs", "expected"),
    [
        ({}, f"{REPOSITORY}[prepare]"),
        ({"dataset": "hf://datasets/org/name"}, f"{REPOSITORY}[prepare,hub]"),
        ({"against": "s3://bucket/ds", "data_root": "s3://other/ds"}, f"{REPOSITORY}[prepare,s3]"),
        ({"dataset": "gs://b/ds", "config": "https://x/y.toml"}, f"{REPOSITORY}[prepare,gcs,http]"),
        ({"version": "0.1.0"}, "episeek[prepare]==0.1.0"),
        ({"version": "git+https://host/episeek@main"}, "episeek[prepare] @ git+https://host/episeek@main"),
        ({"version": "./wheels/episeek.whl"}, "./wheels/episeek.whl[prepare]"),
        ({"version": f"0{HOSTILE}"}, f"episeek[prepare]==0{HOSTILE}"),
    ],
)
def test_what_is_installed(workspace: Path, tmp_path: Path, inputs: dict[str, str], expected: str):
    run, told = installed(workspace, tmp_path, **inputs)
    assert run.exit_code == 0, run.log
    assert told.splitlines()[0] == f"-I -m venv {tmp_path}/runner/episeek-verify"
    assert told.splitlines()[1] == f"-I -m pip install --quiet -- {expected}"
    assert not list(workspace.rglob("pwned"))


def test_an_installation_that_fails(workspace: Path, tmp_path: Path):
    for inputs in ({"version": "main"}, {"python": "/no/such/python"}, {"version": "1!fails"}):
        run, _ = installed(workspace, tmp_path, **inputs)
        assert (run.exit_code, run.outputs["exit-code"]) == (2, "2")
        (line,) = run.commands("error")
        assert "episeek verify could not be run" in line


def installed(workspace: Path, tmp_path: Path, **inputs: str) -> tuple[Run, str]:
    """The step `install` with an interpreter that writes down what it is told."""
    told = tmp_path / "told"
    told.unlink(missing_ok=True)
    python = tmp_path / "python"
    python.write_text(
        f'#!/bin/sh\necho "$*" >>{shlex.quote(str(told))}\ncase "$*" in *1!fails*) exit 1 ;; esac\n'
        f'if [ "$3" = venv ]; then mkdir -p "$4/bin" && cp "$0" "$4/bin/python"; fi\n'
    )
    python.chmod(0o755)
    action = Action(ACTION, workspace, tmp_path / "runner")
    shutil.rmtree(action.temporary)
    action.temporary.mkdir()
    run = action.run(instead_of={"verify": {}}, **{"python": str(python), **inputs})
    return run, told.read_text() if told.exists() else ""


# --- pre-commit ------------------------------------------------------------------------------------------------------------------


def test_the_hook_of_pre_commit(tmp_path: Path):
    (hook,) = yaml.safe_load((REPOSITORY / ".pre-commit-hooks.yaml").read_text())
    extras = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert (hook["id"], hook["language"]) == ("episeek-verify", "python")
    assert hook["pass_filenames"] is False
    assert hook["additional_dependencies"] == [".[prepare]"]
    assert "prepare" in extras
    program, *arguments = shlex.split(hook["entry"]) + hook["args"]
    assert program == "episeek"
    root = copy_of("images", tmp_path)
    for expected in (0, 1):
        done = subprocess.run([BIN / program, *arguments], cwd=root, capture_output=True, text=True, check=False)
        assert done.returncode == expected
        if expected == 0:
            assert (done.stdout, done.stderr) == ("", "")
            edit_info(root, total_frames=1)
        else:
            assert "INF009" in done.stdout


def test_several_datasets_are_several_arguments(arguments: Callable[..., list[str]]):
    told = arguments(dataset="robots/a\n  ./b/../c \r\n\nhf://datasets/org/name\n")
    assert told[told.index("--") + 1 :] == ["robots/a", "c", "hf://datasets/org/name"]
    assert arguments(dataset="\n") == ["exit code 2"]
