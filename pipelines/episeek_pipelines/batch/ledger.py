"""The ledger of a batch: the record of each dataset's state, in small files that many processes write without a lock.

Each dataset has a folder in the ledger. The folder contains a few files for each attempt to prepare the dataset. Their names begin
with the number NNNN of the attempt. The first file is `NNNN-running.json`, the claim with which a process begins the attempt. The
last file is `NNNN-STATE.json`, which contains the result. While the process works, it overwrites `NNNN-beat.json` from time to
time, which proves that it is alive. All other files are written once, and neither changed nor removed.

A file is written as a whole or not at all, with one exception: on a file system without hard links, another process may read a
claim before it is complete. The attempt then counts as running.

On a shared file system a claim is exclusive, because its file is made by a hard link, which fails if another process was faster. A
store has no such operation. In a store, a process writes its claim and reads it back, and the last writer owns the attempt. So two
runs that start in the same moment may both work at a dataset. Their results are the same bytes, except for the record of the run.

`episeek_pipelines.batch.processes` finds out whether the process of a claim has died.
"""

import json
import os
import re
import threading
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Literal, get_args
from urllib.parse import quote, unquote

from episeek.errors import EpiseekError, MissingFileError, ReadError
from episeek.stores.processes.workers import map_in_threads
from episeek_pipelines.batch.errors import Problem
from episeek_pipelines.batch.processes import BEAT_SECONDS, is_alive, now, this_process
from episeek_pipelines.dataset.local_files import writing
from episeek_pipelines.dataset.root import Root
from episeek_schemas.batch import LEDGER_DIR, LEDGER_FORMAT

State = Literal["planned", "running", "done", "current", "refused", "failed"]
"""The state of a dataset. `planned`: no attempt has begun, or the last attempt was stopped; `running`: an attempt has begun;
`done`: an attempt prepared or published the dataset; `current`: an attempt found an up-to-date result; `refused`: a check of the
dataset, its options or its result did not allow the attempt to finish; `failed`: an attempt ended with an error."""

STATES: Final[tuple[State, ...]] = get_args(State)
FINISHED: Final[frozenset[State]] = frozenset({"done", "current"})

_ENDS: Final[tuple[State, ...]] = ("done", "current", "failed", "refused", "planned")
"""The states that end an attempt. If two runs in a store end the same attempt with different states, the first one in this tuple
counts."""
_FILE: Final = re.compile(r"(\d{4,})-([a-z]+)\.json")
_READS_IN_FLIGHT: Final = 16


@dataclass(frozen=True, slots=True)
class LedgerRow:
    """The row of the ledger for one attempt at one dataset: the state, the figures of the result, and the process."""

    destination: str
    """Path of the result below OUT, the folder of the batch. It identifies the dataset."""
    source: str
    """Path or URL of the dataset that is prepared."""
    state: State
    url: str = ""
    """The folder, the prefix in a store, or the commit or pull request on the Hub that contains the result."""
    inputs: dict[str, Any] = field(default_factory=dict)
    """Everything that decides the result: identities of the source's files, options and versions."""
    versions: dict[str, str] = field(default_factory=dict)
    """Versions of episeek, of the sidecar format and of the source's LeRobot format."""
    counts: dict[str, int] = field(default_factory=dict)
    """Numbers of episodes, frames, cameras and files."""
    bytes: dict[str, int] = field(default_factory=dict)
    """Numbers of bytes that were read and written."""
    requests: int = 0
    """Number of requests that read video headers and data files from the store of the source."""
    findings: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Severity and number of the findings of the verification, by rule code."""
    problem: Problem | None = None
    """The error because of which the dataset was refused or failed; None in the other states."""
    has_page: bool = False
    """Whether the batch has a report page about the dataset."""
    attempt: int = 0
    """Number of the attempt, from 1; 0 before the first attempt."""
    run: str = ""
    """Random name of the run that made the attempt."""
    process: dict[str, Any] = field(default_factory=dict)
    """Host, machine, process id and start time of the process."""
    since: str = ""
    """Time at which the attempt began, UTC in ISO 8601."""
    ended: str = ""
    """Time at which the attempt ended, UTC in ISO 8601; empty while it is running."""
    seconds: float = 0.0
    """Duration of the work in seconds."""

    @property
    def error_count(self) -> int:
        """Return the number of errors that the verification found."""
        return self._found("error")

    @property
    def warning_count(self) -> int:
        """Return the number of warnings that the verification found."""
        return self._found("warning")

    @property
    def contents(self) -> dict[str, Any]:
        """Return the row as a JSON document, without the fields that depend on the process, the time and the attempt."""
        circumstances = ("attempt", "run", "process", "since", "ended", "seconds", "format")
        return {name: value for name, value in self.as_dict().items() if name not in circumstances}

    def as_dict(self) -> dict[str, Any]:
        """Return the row as a JSON document."""
        names = [name for name in self.__dataclass_fields__ if name != "problem"]
        problem = None if self.problem is None else self.problem.as_dict()
        return {"format": LEDGER_FORMAT, **{name: getattr(self, name) for name in names}, "problem": problem}

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> "LedgerRow":
        """Return the row from a document that `as_dict` made. Unknown keys, which a later version may write, are ignored."""
        known = {name: value for name, value in document.items() if name in cls.__dataclass_fields__}
        problem = document.get("problem")
        return cls(**{**known, "problem": None if problem is None else Problem(**problem)})

    def _found(self, severity: str) -> int:
        return sum(found["count"] for found in self.findings.values() if found["severity"] == severity)


@dataclass(frozen=True, slots=True)
class Attempts:
    """The names of the files that the ledger contains about one dataset, by attempt."""

    files: Mapping[int, frozenset[str]]
    """The kinds of the files of each attempt, by the number of the attempt. The kind of `0001-running.json` is `running`."""

    @property
    def last(self) -> int:
        """Return the number of the last attempt; 0 if there was no attempt."""
        return max(self.files, default=0)

    @property
    def state(self) -> str:
        """Return the state of the last attempt; `planned` if there was no attempt."""
        kinds = self.files.get(self.last, frozenset())
        return next((kind for kind in _ENDS if kind in kinds), "running" if kinds else "planned")

    def has_written(self, *, is_local: bool) -> bool:
        """Return whether this batch may have written files at the dataset's destination.

        Args:
            is_local: Whether the results are on this machine. On this machine, a dataset is renamed to its destination when it is
                complete. In a store, its files are written to the destination directly.
        """
        return self.has("prepared", *FINISHED) or (not is_local and self.has("begun"))

    def finished(self) -> tuple[int, str] | None:
        """Return the number and the state of the last attempt that finished the dataset, or None if no attempt did."""
        for number in sorted(self.files, reverse=True):
            for kind in _ENDS:
                if kind in FINISHED and kind in self.files[number]:
                    return number, kind
        return None

    def has(self, *kinds: str) -> bool:
        """Return whether any attempt has written a file of one of these kinds."""
        return any(not kinds_of.isdisjoint(kinds) for kinds_of in self.files.values())


class Ledger:
    """The ledger of a batch, below the folder of its results. Every call reads the files anew; nothing is cached.

    Args:
        out: The folder of the results, or the prefix in a store.
    """

    def __init__(self, out: Root) -> None:
        self.out = out

    # --- reading ---

    def attempts(self) -> dict[str, Attempts]:
        """Return the attempts at every dataset, by destination, from one listing of the ledger."""
        found: dict[str, dict[int, set[str]]] = {}
        for path in self.out.list(LEDGER_DIR, suffix=".json"):
            key, _, name = path.removeprefix(f"{LEDGER_DIR}/").rpartition("/")
            if match := _FILE.fullmatch(name):
                found.setdefault(unquote(key), {}).setdefault(int(match[1]), set()).add(match[2])
        return {name: _attempts(numbers) for name, numbers in found.items()}

    def attempts_at(self, destination: str) -> Attempts:
        """Return the attempts at one dataset, from a listing of its folder in the ledger."""
        found: dict[int, set[str]] = {}
        for path in self.out.list(self._folder(destination), suffix=".json"):
            if match := _FILE.fullmatch(path.rpartition("/")[2]):
                found.setdefault(int(match[1]), set()).add(match[2])
        return _attempts(found)

    def written(self) -> set[str]:
        """Return the destinations at which runs of this batch may have written files."""
        is_local = self.out.is_local
        return {name for name, attempts in self.attempts().items() if attempts.has_written(is_local=is_local)}

    def rows(self) -> dict[str, LedgerRow]:
        """Return the row of the last attempt at each dataset, by destination; datasets without an attempt are left out."""
        attempts = self.attempts()
        found = map_in_threads(
            lambda item: self.row(item[0], item[1]), list(attempts.items()), max_in_flight=_READS_IN_FLIGHT
        )
        return {row.destination: row for row in found if row is not None}

    def row(self, destination: str, attempts: Attempts | None = None) -> LedgerRow | None:
        """Return the row of the last attempt at one dataset, or None if there was no attempt."""
        attempts = self.attempts_at(destination) if attempts is None else attempts
        if not attempts.last:
            return None
        row = self.read(destination, attempts.last, attempts.state)
        if row is None:
            # The file system has no hard links, and another process has created the claim but not yet written its content.
            return LedgerRow(destination, "", "running", attempt=attempts.last)
        return row

    def read(self, destination: str, attempt: int, kind: str) -> LedgerRow | None:
        """Return the row in one file of an attempt, or None if the file does not exist or is not complete."""
        try:
            return LedgerRow.of(json.loads(self.out.read_bytes(self._path(destination, attempt, kind))))
        except (MissingFileError, ValueError, TypeError, KeyError):
            return None

    def is_at_work(self, row: LedgerRow) -> bool:
        """Return whether the process of a running row seems to be alive; return False for a row that is not running."""
        if row.state != "running":
            return False
        if not row.process:
            return True
        beat = row.since
        with suppress(EpiseekError, ValueError):
            beat = json.loads(self.out.read_bytes(self._path(row.destination, row.attempt, "beat")))["time"]
        return is_alive(row.process, last_beat=beat)

    # --- writing ---

    def claim(self, row: LedgerRow, attempt: int) -> "Claim | None":
        """Begin an attempt at a dataset and return its claim, or return None if another process has begun this attempt.

        Args:
            row: The row of the dataset before the attempt, with its destination, source and inputs.
            attempt: The number of the new attempt: the number of the last attempt plus one.
        """
        token = uuid.uuid4().hex
        begun = replace(row, state="running", attempt=attempt, process=this_process(), since=now())
        data = _document({**begun.as_dict(), "token": token})
        path = self._path(row.destination, attempt, "running")
        if not self._create(path, data, token):
            return None
        return Claim(self, begun)

    def write(self, row: LedgerRow, kind: str) -> None:
        """Write a row to a file of the given kind for the row's attempt. The file appears as a whole."""
        self.out.write_bytes(self._path(row.destination, row.attempt, kind), _document(row.as_dict()))

    def beat(self, row: LedgerRow) -> None:
        """Write the present time to the ledger, as a sign that the process of the row's attempt is alive."""
        self.out.write_bytes(self._path(row.destination, row.attempt, "beat"), _document({"time": now()}))

    def _create(self, path: str, data: bytes, token: str) -> bool:
        """Create a file if it does not exist, and return whether this call created it."""
        if self.out.is_local:
            return _created(os.path.join(self.out.url, path), data)
        if self.out.exists(path):
            return False
        self.out.write_bytes(path, data)
        try:
            return bool(json.loads(self.out.read_bytes(path))["token"] == token)
        except (MissingFileError, ValueError, KeyError):
            raise ReadError(self.out.join(path), "no readable claim", "the claim that was just written") from None

    def _folder(self, destination: str) -> str:
        return f"{LEDGER_DIR}/{key_of(destination)}"

    def _path(self, destination: str, attempt: int, kind: str) -> str:
        return f"{self._folder(destination)}/{attempt:04d}-{kind}.json"


class Claim:
    """The right of this process to make one attempt at a dataset, and the files that it writes about this attempt."""

    def __init__(self, ledger: Ledger, row: LedgerRow) -> None:
        self._ledger = ledger
        self._is_ended = False
        self.row = row

    @contextmanager
    def beating(self) -> Iterator[None]:
        """Report from time to time that the process is alive while the block runs.

        If the block ends with an exception, for instance an interrupt, the dataset gets the state `planned` again.
        """
        ended = threading.Event()

        def beat() -> None:
            while not ended.wait(BEAT_SECONDS):
                # An error while a beat is written is ignored, since the next beat follows soon.
                with suppress(EpiseekError, OSError):
                    self._ledger.beat(self.row)

        threading.Thread(target=beat, name="episeek-beat", daemon=True).start()
        try:
            yield
        except BaseException:
            with suppress(EpiseekError, OSError):
                if not self._is_ended:
                    self._ledger.write(replace(self.row, state="planned", ended=now()), "planned")
            raise
        finally:
            ended.set()

    def note(self, row: LedgerRow, kind: str) -> None:
        """Write a file about the progress of the attempt; `kind` is `begun` or `prepared`."""
        self._ledger.write(replace(row, attempt=self.row.attempt), kind)

    def end(self, row: LedgerRow) -> LedgerRow:
        """End the attempt with the state of a row, and return the row as it was written."""
        ended = replace(
            row,
            attempt=self.row.attempt,
            run=self.row.run,
            process=self.row.process,
            since=self.row.since,
            ended=now(),
        )
        self._ledger.write(ended, ended.state)
        self._is_ended = True
        return ended


def key_of(destination: str) -> str:
    """Return the name of a dataset's folder in the ledger: its destination, percent-encoded except for spaces."""
    return quote(destination, safe=" ")


def _attempts(numbers: Mapping[int, set[str]]) -> Attempts:
    return Attempts({number: frozenset(kinds) for number, kinds in numbers.items()})


def _document(document: Mapping[str, Any]) -> bytes:
    return f"{json.dumps(document, indent=1, sort_keys=True)}\n".encode()


def _created(path: str, data: bytes) -> bool:
    """Create a local file with its content unless it exists, and return whether it was created."""
    target = Path(path)
    temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex}.tmp")
    with writing(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(data)
        try:
            # A hard link fails if the name exists, even on NFS, and the file appears with its whole content.
            os.link(temporary, target)
        except FileExistsError:
            return False
        except OSError:
            return _created_without_links(target, data)
        finally:
            temporary.unlink(missing_ok=True)
    return True


def _created_without_links(target: Path, data: bytes) -> bool:
    try:
        handle = os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
    except FileExistsError:
        return False
    with os.fdopen(handle, "wb") as stream:
        stream.write(data)
    return True
