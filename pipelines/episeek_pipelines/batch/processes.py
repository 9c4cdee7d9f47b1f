"""Describe the process that works at a dataset for the ledger (the record of states), and find out whether a process has died.

A process of this machine is alive if a process with the same process id and start time exists. For processes of other machines,
beats are used: every `BEAT_SECONDS`, a process writes a file with the time. It counts as dead after `SILENT_SECONDS` without a
beat. The clocks of the machines have to agree within a few minutes.
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
    """Return the description of this process for the ledger: host, machine, process id and start time of the process."""
    return {
        "host": socket.gethostname(),
        "machine": _machine(),
        "pid": os.getpid(),
        "process_start": _start(os.getpid()),
    }


def now() -> str:
    """Return the present time in UTC as the ledger writes it, in ISO 8601 with milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def is_alive(process: Mapping[str, Any], *, last_beat: str) -> bool:
    """Return whether a process that the ledger describes seems to be alive.

    Args:
        process: The description that `this_process` returned when the process called it.
        last_beat: The time, as `now` returned it, at which the process last reported that it was alive.
    """
    here = this_process()
    if (process["host"], process["machine"]) == (here["host"], here["machine"]):
        return _exists(process["pid"]) and _start(process["pid"]) == process["process_start"]
    return seconds_since(last_beat) < SILENT_SECONDS


def seconds_since(time: str) -> float:
    """Return the seconds since a time that `now` returned."""
    return (datetime.now(UTC) - datetime.fromisoformat(time)).total_seconds()


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        # The process exists, but belongs to another user.
        pass
    return True


def _machine() -> str:
    """Return an id of this machine's last boot and of this container, or an empty text if the system does not give one.

    A host name is not enough, since several machines or containers may have the same name.
    """
    parts = []
    with suppress(OSError):
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text().strip())
    with suppress(OSError):
        parts.append(os.readlink("/proc/self/ns/pid"))
    return " ".join(parts)


def _start(pid: int) -> str:
    """Return the start time of a process in clock ticks since boot (proc(5), field 22); an empty text if the process has ended."""
    with suppress(OSError, IndexError):
        # The name of the program is in parentheses and may contain spaces, so the fields are counted from the last parenthesis.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        # A zombie (state Z) has ended, but its parent has not waited for it yet.
        return "" if fields[0] == "Z" else fields[19]
    return ""
