"""Measure memory and CPU time of a process and its descendants, from Linux's /proc (proc_pid_stat(5), proc_pid_status(5))."""

import os
import threading
from collections import defaultdict
from pathlib import Path
from types import TracebackType
from typing import Final, Self

PROC: Final = Path("/proc")

SAMPLING_SECONDS: Final = 0.1


def tree(pid: int) -> list[int]:
    """Return the process ids of a process and its current descendants."""
    found = [pid]
    for parent in found:
        children = _children(parent)
        if children is None:
            return _tree_by_parents(pid)
        found += children
    return found


def resident_bytes(pid: int) -> int:
    """Return the resident set of a process and its descendants in bytes. A shared page counts once for each of its processes."""
    return sum(_resident_bytes(process) for process in tree(pid))


def cpu_seconds(pid: int) -> float:
    """Return the CPU time, user and system, of a process and its living descendants."""
    ticks = [_stat_fields(process) for process in tree(pid)]
    # utime and stime are fields 14 and 15 of the file, and `_stat_fields` begins with field 3
    return sum(int(fields[11]) + int(fields[12]) for fields in ticks if fields) / os.sysconf("SC_CLK_TCK")


def peak_resident_bytes(pid: int) -> int:
    """Return the largest resident set that one process has had, in bytes; 0 if the process has ended."""
    try:
        status = (PROC / str(pid) / "status").read_text()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM:")), 0)


class PeakMemory:
    """Measures the largest resident set of this process and its descendants during a `with` block, every 100 ms.

    A thread measures it, so enter the block after worker processes have been forked.
    """

    def __init__(self) -> None:
        self._pid = os.getpid()
        self._peak_bytes = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True, name="episeek-bench-memory")

    @property
    def peak_bytes(self) -> int | None:
        """The largest resident set so far, in bytes; None on a system without /proc."""
        return max(self._peak_bytes, peak_resident_bytes(self._pid)) or None

    def __enter__(self) -> Self:
        self._look()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ended.wait(SAMPLING_SECONDS):
            self._look()

    def _look(self) -> None:
        self._peak_bytes = max(self._peak_bytes, resident_bytes(self._pid))


def _children(pid: int) -> list[int] | None:
    """Return the children of a process, or None if the kernel was built without the files /proc/PID/task/TID/children."""
    children: list[int] = []
    try:
        threads = os.listdir(PROC / str(pid) / "task")
    except OSError:
        # the process has ended, or there is no /proc
        return []
    for thread in threads:
        try:
            children += map(int, (PROC / str(pid) / "task" / thread / "children").read_text().split())
        except OSError:
            if (PROC / str(pid) / "task" / thread / "stat").exists():
                return None
    return children


def _tree_by_parents(pid: int) -> list[int]:
    """Return the process ids of a process and its descendants, found from the parents of all processes."""
    children = defaultdict(list)
    for process in filter(str.isdigit, os.listdir(PROC)):
        fields = _stat_fields(int(process))
        if fields:
            children[int(fields[1])].append(int(process))
    found = [pid]
    for parent in found:
        found += children[parent]
    return found


def _stat_fields(pid: int) -> list[str]:
    """Return the fields of /proc/PID/stat after the process's name, which is field 2; an empty list if the process has ended."""
    try:
        # the name is in parentheses, and may contain parentheses itself
        return (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _resident_bytes(pid: int) -> int:
    try:
        return int((PROC / str(pid) / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError):
        return 0
