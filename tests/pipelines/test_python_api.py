import subprocess
import sys
import typing
from pathlib import Path

import pytest

import episeek_pipelines.index.units
from episeek_pipelines import api


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
