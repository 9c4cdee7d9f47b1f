import subprocess
import sys
from importlib import import_module
from pkgutil import iter_modules

import pytest

from episeek_pipelines import verify


def test_every_public_name_has_one_home():
    names = [name for names in verify._NAMES_OF.values() for name in names]
    assert sorted(names) == sorted(verify.__all__)


@pytest.mark.parametrize("module", verify._NAMES_OF)
def test_a_name_is_what_its_module_holds(module: str):
    home = import_module(f"episeek_pipelines.verify.{module}")
    for name in verify._NAMES_OF[module]:
        assert getattr(verify, name) is getattr(home, name)


def test_no_module_hides_a_name():
    """A module that has been imported becomes an attribute of the package, before any name that is loaded when it is used."""
    assert {module.name for module in iter_modules(verify.__path__)}.isdisjoint(verify.__all__)


def test_other_names_are_refused():
    with pytest.raises(AttributeError, match="has no attribute 'Veto'"):
        verify.Veto  # noqa: B018


def test_importing_the_package_loads_no_module_of_it():
    program = "import sys, episeek_pipelines.verify; print(*(name for name in sys.modules if 'verify.' in name))"
    printed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert printed.stdout == "\n"
