"""Check the workers of a cluster before a job runs: they must have this release of episeek, and see the job's files.

The functions `answer_...` run on every worker and return plain values, so that workers with another release can answer, too. The
functions `require_...` raise for the first worker with a wrong answer. Nothing here depends on Dask.
"""

import hashlib
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final
from uuid import uuid4

from episeek import __version__
from episeek.errors import DestinationError, EpiseekError, ReadError
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.jobs.nodes import Constant, Node
from episeek_schemas import layout, sidecars

Answers = Mapping[str, Any]
"""The answer of each worker, by the worker's address: a dict, or the exception that it raised instead."""

_PROBE_PREFIX: Final = ".episeek-probe-"


@dataclass(frozen=True, slots=True)
class Probe:
    """A file that every worker has to see with the same contents as this process."""

    root: str
    """URL of the directory."""
    path: str
    """Path of the file, relative to the directory."""
    sha256: str
    is_written_to: bool
    """Whether the job writes below the directory. Then each worker also writes a file of its own next to the probe."""


def roots_of(nodes: Iterable[Node]) -> tuple[Root, ...]:
    """Return the directories among the arguments of a graph's functions, each once, in the order of the nodes."""
    found: dict[Root, None] = {}
    for node in nodes:
        for argument in node.arguments:
            for shared in argument if isinstance(argument, list) else ():
                if isinstance(shared, Constant) and isinstance(shared.value, Root):
                    found[shared.value] = None
    return tuple(found)


def own_versions() -> dict[str, Any]:
    """Return the versions that have to be the same on every worker."""
    return {
        "episeek": __version__,
        "format": sidecars.FORMAT_VERSION,
        "index": sidecars.INDEX_VERSION,
        "python": ".".join(map(str, sys.version_info[:2])),
    }


def answer_versions() -> dict[str, Any]:
    """Return the versions of the worker on which the function runs."""
    return own_versions()


def answer_probes(probes: tuple[Probe, ...]) -> dict[str, Any]:
    """Read all probe files on a worker, write a file next to each probe file if the job writes there, and return what happened.

    Returns:
        A dict with two entries, each a dict whose keys are the numbers of probes. "found" contains a text for each probe: the
        problem, or an empty text if the worker sees the right contents. "wrote" contains the path of each file that the worker
        wrote.
    """
    found: dict[str, Any] = {"found": {}, "wrote": {}}
    for number, probe in enumerate(probes):
        root = Root(probe.root)
        try:
            digest = hashlib.sha256(root.read_bytes(probe.path)).hexdigest()
        except EpiseekError as error:
            found["found"][number] = error.found
            continue
        found["found"][number] = "" if digest == probe.sha256 else "another file"
        if probe.is_written_to and not found["found"][number]:
            path = f"{probe.path}-{uuid4().hex}"
            try:
                root.write_bytes(path, probe.sha256.encode())
            except EpiseekError as error:
                found["found"][number] = error.found
            else:
                found["wrote"][number] = path
    return found


def require_versions(answers: Answers, scheduler: str) -> None:
    """Raise ReadError if a worker does not have episeek, or if its versions differ from those of this process."""
    wanted = own_versions()
    expected = f"episeek {wanted['episeek']} on Python {wanted['python']}, as in this process"
    hint = "install the same release on every worker, and restart the workers"
    for worker, answer in sorted(answers.items()):
        if not isinstance(answer, dict):
            reason = f"{type(answer).__name__}: {answer}" if isinstance(answer, BaseException) else repr(answer)
            raise ReadError(
                f"worker {worker} of {scheduler}", f"an error instead of versions ({reason})", expected, hint
            )
        if answer != wanted:
            names = [name for name in wanted if answer.get(name) != wanted[name]]
            found = ", ".join(f"{_NAMES[name]} {answer.get(name, 'unknown')}" for name in names)
            expected = ", ".join(f"{_NAMES[name]} {wanted[name]}" for name in names) + ", as in this process"
            raise ReadError(f"worker {worker} of {scheduler}", found, expected, hint)


_NAMES: Final = {"episeek": "episeek", "format": "format version", "index": "index version", "python": "Python"}


@contextmanager
def placed_probes(roots: Iterable[Root]) -> Iterator[tuple[Probe, ...]]:
    """Yield a tuple with a probe file in each existing directory of `roots`.

    In a dataset, the probe file is `meta/info.json`. In any other directory, it is a new file that is removed after the `with`
    block. A directory that contains other directories of `roots`, but is not a dataset, gets no probe file.
    """
    written: list[tuple[Root, str]] = []
    probes = []
    # workers read the files of the store itself, not a view of them as version 3.0
    candidates = [root for root in dict.fromkeys(root.physical for root in roots) if root.is_dir()]
    try:
        for root in candidates:
            if root.exists(layout.INFO_PATH):
                digest = hashlib.sha256(root.read_bytes(layout.INFO_PATH)).hexdigest()
                probes.append(Probe(root.url, layout.INFO_PATH, digest, is_written_to=False))
            elif not any(other.url.startswith(f"{root.url}/") for other in candidates):
                path, content = f"{_PROBE_PREFIX}{uuid4().hex}", uuid4().bytes
                root.write_bytes(path, content)
                written.append((root, path))
                probes.append(Probe(root.url, path, hashlib.sha256(content).hexdigest(), is_written_to=True))
        yield tuple(probes)
    finally:
        for root, path in written:
            # an error here must not replace an error of the job
            with suppress(EpiseekError):
                root.remove(path)


def require_probes(answers: Answers, probes: tuple[Probe, ...], scheduler: str) -> None:
    """Raise an error for a worker that does not see a probe file, or that wrote a file which this process does not see.

    Raises:
        DestinationError: A worker does not share a directory to which the job writes.
        ReadError: A worker does not see a dataset that the job reads, or did not answer.
    """
    try:
        for worker, answer in sorted(answers.items()):
            where = f"worker {worker} of {scheduler}"
            if not isinstance(answer, dict):
                raise ReadError(
                    where, f"an error instead of an answer about paths ({answer})", "the files that this process sees"
                )
            for number, probe in enumerate(probes):
                problem = answer["found"].get(number, "no answer")
                if not problem and probe.is_written_to and not Root(probe.root).exists(answer["wrote"][number]):
                    problem = "a directory of its own, whose new files this process does not see,"
                if problem:
                    _refuse(where, probe, problem)
    finally:
        _remove_answers(answers, probes)


def _refuse(where: str, probe: Probe, problem: str) -> None:
    root = Root(probe.root)
    hint = "use storage that every worker has under the same absolute path, or a URL of an object store"
    kind, role = (DestinationError, "a destination") if probe.is_written_to else (ReadError, "a dataset")
    raise kind(where, f"{problem} at {root.join(probe.path)}", f"{role} that the worker shares with this process", hint)


def _remove_answers(answers: Answers, probes: tuple[Probe, ...]) -> None:
    for answer in answers.values():
        for number, path in answer["wrote"].items() if isinstance(answer, dict) else ():
            with suppress(EpiseekError):
                Root(probes[number].root).remove(path)
