"""The history of a process: the forks that led to it, and whether a parent had loaded obstore.

The import of the package `episeek` imports this module, too, so that no fork is missed.
"""

import os
import sys

_fork_count = 0
_is_child_of_obstore = False


def _after_fork() -> None:
    global _fork_count, _is_child_of_obstore
    _fork_count += 1
    _is_child_of_obstore = _is_child_of_obstore or "obstore" in sys.modules


os.register_at_fork(after_in_child=_after_fork)


def process_key() -> tuple[int, int]:
    """Return a key of this process: its id and the number of forks that led to it.

    The id alone is not enough: a child may get the id of an ancestor that has ended.
    """
    return os.getpid(), _fork_count


def is_child_of_obstore() -> bool:
    """Return whether a parent of this process had loaded obstore when it forked.

    The threads of obstore do not exist in such a child, so every call of obstore would wait forever.
    """
    return _is_child_of_obstore
