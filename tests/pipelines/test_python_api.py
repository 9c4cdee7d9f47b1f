import re
import subprocess
import sys
import typing
from inspect import signature as signature_of
from pathlib import Path

import pytest

import episeek_pipelines.index.units
from episeek_pipelines import api
from tests.pipelines.conftest import copy_dataset


def test_every_name_has_one_home():
    assert sorted(api._HOME) == sorted(api.__all__) == dir(api)


@pytest.mark.parametrize("name", api.__all__)
def test_every_name_can_be_imported(name: str):
    assert getattr(api, name) is getattr(api, name)


def test_functions_do_not_hide_the_packages_of_their_names():
    assert callable(api.index)
    assert callable(episeek_pipelines.index.units.plan_index)


def test_other_names_are_refused():
    with pytest.raises(AttributeError, match="has no attribute 'revise'"):
        api.revise  # noqa: B018


def test_importing_it_imports_nothing_else():
    program = "import sys, episeek_pipelines.api; print(*(name for name in sys.modules if name.startswith('episeek')))"
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert told.stdout.split() == ["episeek_pipelines", "episeek_pipelines.api"]


def test_the_names_that_type_checkers_see_are_those_that_are_imported():
    """Both lists are written by hand: a checker reads the first, Python the second."""
    source = Path(api.__file__).read_text(encoding="utf-8")
    namespace: dict[str, typing.Any] = {}
    block = source.partition("if TYPE_CHECKING:\n")[2].partition("\n\n")[0]
    exec("\n".join(line.strip() for line in block.splitlines()), namespace)
    namespace.pop("__builtins__")
    assert namespace == {name: getattr(api, name) for name in api.__all__}


def test_the_document_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    document = (Path(__file__).parents[2] / "docs/python-api.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```$", document, flags=re.MULTILINE | re.DOTALL)
    assert len(blocks) >= 9
    copy_dataset("h264_bframes", tmp_path / "pusht")
    copy_dataset("v21_images", tmp_path / "old")
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, "docs/python-api.md", "exec"), namespace)
    printed = capsys.readouterr()
    assert printed.err == ""
    assert "is clean: True" in printed.out
    assert "nothing to do: True" in printed.out
    assert "out holds a dataset prepared before, with --videos none (now --videos copy)" in printed.out


def test_the_document_has_every_function():
    document = (Path(__file__).parents[2] / "docs/python-api.md").read_text(encoding="utf-8")
    jobs = (
        "prepare",
        "upgrade",
        "rewrite",
        "index",
        "check_index",
        "inspect",
        "verify",
        "diff",
        "fix",
        "publish",
        "publish_to_store",
    )
    batches = ("batch_plan", "batch_run", "batch_status")
    for name in (*jobs, "prepare_and_publish", *batches):
        (row,) = re.findall(rf"^\| `{name}\((.*?)\)` \| `(\w+)` \|", document, flags=re.MULTILINE)
        signature = signature_of(getattr(api, name))
        documented = {argument.strip() for argument in row[0].split(",")} - {"*"}
        assert documented <= set(signature.parameters), name
        assert signature.return_annotation is getattr(api, row[1])
