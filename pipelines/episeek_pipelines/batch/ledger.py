"""The ledger of a batch: what became of each dataset, in small files that many processes write without a lock.

Each dataset has a folder, and each attempt at it a number. An attempt begins with `NNNN-running.json`, the claim of a process, and
ends with `NNNN-STATE.json`. Files are written complete or not at all, but for claims on a file system without hard links, which are
exclusive, and read as running until they are complete. None is changed or removed, but for the beats of a claim: they are
overwritten.

On a shared file system a claim is exclusive: its file is made by a hard link, which fails where another process was faster. A store
has no such operation: a claim is written, read back, and held by the last writer, so that two runs that start at the same moment
may both work at a dataset. Their results are the same bytes, but for the record of the run.

How the claim of a dead process is known: `episeek_pipelines.batch.processes`.
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
"""`planned`: nothing has begun, or an attempt was stopped; `current`: there was nothing to do; `refused`: it cannot be prepared as
it is; `failed`: the work at it failed."""

STATES: Final[tuple[State, ...]] = get_args(State)
FINISHED: Final[frozenset[State]] = frozenset({"done", "current"})

_ENDS: Final[tuple[State, ...]] = ("done", "current", "failed", "refused", "planned")
"""Ends of an attempt, by precedence: in a store two runs may end the same one, and a result that is there counts."""
_FILE: Final = re.compile(r"(\d{4,})-([a-z]+)\.json")
_READS_IN_FLIGHT: Final = 16


@dataclass(frozen=True, slots=True)
class LedgerRow:
    """The outcome of the last attempt at one dataset."""

    destination: str
    source: str
    state: State
    url: str = ""
    """Where the result is: a folder, a prefix of a store, or a commit or pull request of the Hub."""
    inputs: dict[str, Any] = field(default_factory=dict)
    """All that decides the result: identities of the source's files, options and versions."""
    versions: dict[str, str] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    bytes: dict[str, int] = field(default_factory=dict)
    """Bytes read and written."""
    requests: int = 0
    """Requests for video headers and data files to the store of the source."""
    findings: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Severity and number of the findings, by code."""
    problem: Problem | None = None
    has_page: bool = False
    """Whether there is a report page of the dataset."""
    attempt: int = 0
    run: str = ""
    process: dict[str, Any] = field(default_factory=dict)
    """Host, machine, pid and start of the process."""
    since: str = ""
    ended: str = ""
    seconds: float = 0.0

    @property
    def error_count(self) -> int:
        """Return the number of errors that verification found."""
        return self._found("error")

    @property
    def warning_count(self) -> int:
        """Return the number of warnings that verification found."""
        return self._found("warning")

    @property
    def contents(self) -> dict[str, Any]:
        """Return what does not depend on who did the work, when, and at which attempt."""
        circumstances = ("attempt", "run", "process", "since", "ended", "seconds", "format")
        return {name: value for name, value in self.as_dict().items() if name not in circumstances}

    def as_dict(self) -> dict[str, Any]:
        """Return the row for JSON."""
        names = [name for name in self.__dataclass_fields__ if name != "problem"]
        problem = None if self.problem is None else self.problem.as_dict()
        return {"format": LEDGER_FORMAT, **{name: getattr(self, name) for name in names}, "problem": problem}

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> "LedgerRow":
        """Return the row that `as_dict` gave; keys of later versions are left out."""
        known = {name: value for name, value in document.items() if name in cls.__dataclass_fields__}
        problem = document.get("problem")
        return cls(**{**known, "problem": None if problem is None else Problem(**problem)})

    def _found(self, severity: str) -> int:
        return sum(found["count"] for found in self.findings.values() if found["severity"] == severity)


@dataclass(frozen=True, slots=True)
class Attempts:
    """The files of all attempts at one dataset, by number and kind."""

    files: Mapping[int, frozenset[str]]

    @property
    def last(self) -> int:
        """The number of the last attempt; 0 for none."""
        return max(self.files, default=0)

    @property
    def state(self) -> str:
        """The kind of the file that says how the last attempt stands; `planned` where there is none."""
        kinds = self.files.get(self.last, frozenset())
        return next((kind for kind in _ENDS if kind in kinds), "running" if kinds else "planned")

    def has_written(self, *, is_local: bool) -> bool:
        """Return whether what is at the dataset's place may be of this batch: on this machine only what is complete gets there.

        Args:
            is_local: Whether the results are on this machine; a store is written in place.
        """
        return self.has("prepared", *FINISHED) or (not is_local and self.has("begun"))

    def finished(self) -> tuple[int, str] | None:
        """Return the number and the kind of the last attempt that finished the dataset; None where none did."""
        for number in sorted(self.files, reverse=True):
            for kind in _ENDS:
                if kind in FINISHED and kind in self.files[number]:
                    return number, kind
        return None

    def has(self, *kinds: str) -> bool:
        """Return whether any attempt has a file of one of these kinds."""
        return any(not kinds_of.isdisjoint(kinds) for kinds_of in self.files.values())


class Ledger:
    """The ledger below OUT. It keeps nothing: every call reads the files as they are.

    Args:
        out: The folder or the prefix of the results.
    """

    def __init__(self, out: Root) -> None:
        self.out = out

    # --- reading ---

    def attempts(self) -> dict[str, Attempts]:
        """Return the attempts at every dataset, by destination; one listing."""
        found: dict[str, dict[int, set[str]]] = {}
        for path in self.out.list(LEDGER_DIR, suffix=".json"):
            key, _, name = path.removeprefix(f"{LEDGER_DIR}/").rpartition("/")
            if match := _FILE.fullmatch(name):
                found.setdefault(unquote(key), {}).setdefault(int(match[1]), set()).add(match[2])
        return {name: _attempts(numbers) for name, numbers in found.items()}

    def attempts_at(self, destination: str) -> Attempts:
        """Return the attempts at one dataset."""
        found: dict[int, set[str]] = {}
        for path in self.out.list(self._folder(destination), suffix=".json"):
            if match := _FILE.fullmatch(path.rpartition("/")[2]):
                found.setdefault(int(match[1]), set()).add(match[2])
        return _attempts(found)

    def written(self) -> set[str]:
        """Return the destinations that runs of this batch have written, or begun to write in a store."""
        is_local = self.out.is_local
        return {name for name, attempts in self.attempts().items() if attempts.has_written(is_local=is_local)}

    def rows(self) -> dict[str, LedgerRow]:
        """Return the row of each dataset for which there was an attempt, by destination."""
        attempts = self.attempts()
        found = map_in_threads(
            lambda item: self.row(item[0], item[1]), list(attempts.items()), max_in_flight=_READS_IN_FLIGHT
        )
        return {row.destination: row for row in found if row is not None}

    def row(self, destination: str, attempts: Attempts | None = None) -> LedgerRow | None:
        """Return the row of one dataset; None where there was no attempt."""
        attempts = self.attempts_at(destination) if attempts is None else attempts
        if not attempts.last:
            return None
        row = self.read(destination, attempts.last, attempts.state)
        if row is None:
            # made by a file system without hard links, and not written yet
            return LedgerRow(destination, "", "running", attempt=attempts.last)
        return row

    def read(self, destination: str, attempt: int, kind: str) -> LedgerRow | None:
        """Return what one file of an attempt says; None where it is not there or not complete."""
        try:
            return LedgerRow.of(json.loads(self.out.read_bytes(self._path(destination, attempt, kind))))
        except (MissingFileError, ValueError, TypeError, KeyError):
            return None

    def is_at_work(self, row: LedgerRow) -> bool:
        """Return whether the process of a running row is alive, as far as can be known."""
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
        """Begin an attempt; return None where another process has begun it.

        Args:
            row: What is known before: destination, source and inputs.
            attempt: The number of the last attempt and one.
        """
        token = uuid.uuid4().hex
        begun = replace(row, state="running", attempt=attempt, process=this_process(), since=now())
        data = _document({**begun.as_dict(), "token": token})
        path = self._path(row.destination, attempt, "running")
        if not self._create(path, data, token):
            return None
        return Claim(self, begun)

    def write(self, row: LedgerRow, kind: str) -> None:
        """Write a file of an attempt, complete or not at all."""
        self.out.write_bytes(self._path(row.destination, row.attempt, kind), _document(row.as_dict()))

    def beat(self, row: LedgerRow) -> None:
        """Say that the process of a claim is alive."""
        self.out.write_bytes(self._path(row.destination, row.attempt, "beat"), _document({"time": now()}))

    def _create(self, path: str, data: bytes, token: str) -> bool:
        """Create a file that does not exist, and return whether this call did."""
        if self.out.is_local:
            return _created(os.path.join(self.out.url, path), data)
        if self.out.exists(path):
            return False
        self.out.write_bytes(path, data)
        try:
            return bool(json.loads(self.out.read_bytes(path))["token"] == token)
        except (MissingFileError, ValueError, KeyError):
            raise ReadError(self.out.join(path), "something else than was written", "the claim just written") from None

    def _folder(self, destination: str) -> str:
        return f"{LEDGER_DIR}/{key_of(destination)}"

    def _path(self, destination: str, attempt: int, kind: str) -> str:
        return f"{self._folder(destination)}/{attempt:04d}-{kind}.json"


class Claim:
    """An attempt at a dataset that this process works at."""

    def __init__(self, ledger: Ledger, row: LedgerRow) -> None:
        self._ledger = ledger
        self._is_ended = False
        self.row = row

    @contextmanager
    def beating(self) -> Iterator[None]:
        """Write beats while the block runs; a block that an interrupt ends gives the dataset back as planned."""
        ended = threading.Event()

        def beat() -> None:
            while not ended.wait(BEAT_SECONDS):
                # a beat that is lost is followed by another
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
        """Write a file of the attempt that is not its end: `begun` or `prepared`."""
        self._ledger.write(replace(row, attempt=self.row.attempt), kind)

    def end(self, row: LedgerRow) -> LedgerRow:
        """End the attempt with the state of a row, and return the row as it is written."""
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
    """Return the name of a dataset's files: its destination, with slashes and what file systems refuse quoted."""
    return quote(destination, safe=" ")


def _attempts(numbers: Mapping[int, set[str]]) -> Attempts:
    return Attempts({number: frozenset(kinds) for number, kinds in numbers.items()})


def _document(document: Mapping[str, Any]) -> bytes:
    return f"{json.dumps(document, indent=1, sort_keys=True)}\n".encode()


def _created(path: str, data: bytes) -> bool:
    """Create a local file with its contents, exclusively; return whether it did not exist."""
    target = Path(path)
    temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex}.tmp")
    with writing(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(data)
        try:
            # a hard link fails where the name is taken, also on NFS, and the file is complete at once
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
