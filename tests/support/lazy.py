"""Modules and names that are imported when a test uses them: importing torch takes seconds in each worker that collects tests."""

from importlib import import_module
from importlib.util import find_spec
from typing import Any

import pytest


class Lazy:
    """A module, or a name in one, that is imported at its first use.

    Args:
        module: The module.
        name: The name in it; empty for the module itself.
    """

    def __init__(self, module: str, name: str = "") -> None:
        self._module, self._name = module, name

    def __getattr__(self, attribute: str) -> Any:
        return getattr(self._target(), attribute)

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        return self._target()(*arguments, **options)

    def _target(self) -> Any:
        module = import_module(self._module)
        return getattr(module, self._name) if self._name else module


def require_installed(module: str) -> None:
    """Skip the test module where a package is not installed."""
    if find_spec(module) is None:
        pytest.skip(f"{module} is not installed", allow_module_level=True)
