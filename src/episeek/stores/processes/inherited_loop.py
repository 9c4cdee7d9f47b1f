"""Protection of a parent's connections from its forked children, which inherit fsspec's event loop.

A child shares the epoll instance of its parent. When the child collects a file system that it inherited, its sessions are
closed and their sockets are removed from that instance, so that the parent would miss answers on them. Therefore the inherited
loop, which does not run in the child, gets an epoll instance of its own.
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
