"""The process that works at a dataset: how it names itself in the ledger, and how others know that it has died.

On the same machine, since it started, the process is looked up: a process of the same number and start time is alive. Of other
machines only the beat is known, which a working process writes every `BEAT_SECONDS`; after `SILENT_SECONDS` without one the process
counts as dead. That compares clocks of two machines, which have to agree within some minutes.
"""

import os
import socket
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

BEAT_SECONDS: Final = 30.0
SILENT_SECONDS: Final = 600.0


def this_process() -> dict[str, Any]:
    """Return what names this process: host, machine, pid and the time at which the process started."""
    return {
        "host": socket.gethostname(),
        "machine": _machine(),
        "pid": os.getpid(),
        "process_start": _start(os.getpid()),
    }


def now() -> str:
    """Return the time in UTC, as the ledger has it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def is_alive(process: Mapping[str, Any], *, last_beat: str) -> bool:
    """Return whether a process that the ledger names is still at work, as far as can be known.

    Args:
        process: As `this_process` of that process gave it.
        last_beat: The time of its last beat.
    """
    here = this_process()
    if (process["host"], process["machine"]) == (here["host"], here["machine"]):
        return _exists(process["pid"]) and _start(process["pid"]) == process["process_start"]
    return seconds_since(last_beat) < SILENT_SECONDS


def seconds_since(time: str) -> float:
    """Return the seconds from a time of the ledger until now."""
    return (datetime.now(UTC) - datetime.fromisoformat(time)).total_seconds()


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        # a process of another user
        pass
    return True


def _machine() -> str:
    """Return what distinguishes machines, starts and containers that have the same host name; empty where nothing tells."""
    parts = []
    with suppress(OSError):
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text().strip())
    with suppress(OSError):
        parts.append(os.readlink("/proc/self/ns/pid"))
    return " ".join(parts)


def _start(pid: int) -> str:
    """Return the time at which a process started, in ticks since the machine did (proc(5), field 22); empty where unknown."""
    with suppress(OSError, IndexError):
        # the name of the program, in parentheses, may hold spaces
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        # a process that has ended and is not waited for yet
        return "" if fields[0] == "Z" else fields[19]
    return ""
