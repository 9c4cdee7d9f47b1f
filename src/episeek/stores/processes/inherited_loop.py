"""Protect the connections of a process from its forked children, which inherit the event loop of fsspec.

A forked child shares the epoll instance of its parent. When the garbage collector of the child deletes an inherited file system,
the sessions of the file system are closed, and their sockets are removed from the shared epoll instance. The parent would then miss
answers on these sockets. Therefore the inherited loop, which does not run in the child, gets a new epoll instance there.
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
        selector._selector = select.epoll()  # type: ignore[union-attr]  # select.epoll exists on Linux only


def protect_parents() -> None:
    """Protect the connections of this process from children that are forked from now on."""
    os.register_at_fork(before=_before, after_in_parent=_after_in_parent, after_in_child=_after_in_child)
