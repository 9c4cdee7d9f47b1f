"""fsspec's event loop in a forked child: what the child closes of the connections it inherits may not reach the parent.

A child shares the parent's epoll instance. When it collects a file system that it inherited, the sessions in it are closed and
their sockets taken off that instance: the parent would no longer notice answers on them. The inherited loop, which does not run
in the child, gets an instance of its own.
"""

import os
import select
from typing import Any

import fsspec.asyn

_loop: Any = None


def _before() -> None:
    global _loop
    _loop = fsspec.asyn.loop[0]


def _after_in_parent() -> None:
    global _loop
    _loop = None


def _after_in_child() -> None:
    selector = getattr(_loop, "_selector", None)
    if hasattr(select, "epoll") and isinstance(getattr(selector, "_selector", None), select.epoll):
        selector._selector = select.epoll()  # type: ignore[union-attr]  # it is there


def protect_parents() -> None:
    """Have it done at every fork from now on."""
    os.register_at_fork(before=_before, after_in_parent=_after_in_parent, after_in_child=_after_in_child)
