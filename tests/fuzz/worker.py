"""One process of the fuzzer: runs cases with either engine and writes a report when its time is over."""

import argparse
import base64
import gc
import importlib
import json
import mmap
import os
import re
import resource
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random
from types import FrameType

from tests.fuzz.targets import TARGETS, Target

MAX_CASE_SECONDS = 5
MAX_MEMORY_BYTES = 512 << 20
"""What a case may take on top of what the process has: the largest is 16 kB long."""
MAX_CASE_BYTES = 1 << 16
SEED_COUNT = 400
CLIPS_ONE_IN = 8
CLOCK_EVERY = 256
LIMIT_EVERY = 1 << 14
"""Cases after which the limit of memory follows what the process has by then: Atheris grows with its corpus."""


class HangError(AssertionError):
    """A case that takes too long."""


class Campaign:
    """Runs one case after the other, keeps those that fail, and ends the process when time or runs are over."""

    def __init__(self, check: Callable[..., str], options: argparse.Namespace) -> None:
        self._check = check
        self._options = options
        self._outcomes: Counter[str] = Counter()
        self._deadline = time.monotonic() + options.seconds
        self._count = 0
        self._failures: dict[str, dict[str, str]] = {}
        with open(options.case, "wb+") as file:
            file.truncate(MAX_CASE_BYTES + 4)
            self._case = mmap.mmap(file.fileno(), MAX_CASE_BYTES + 4)  # outlives the process, whatever ends it
        signal.signal(signal.SIGVTALRM, _raise_hang)

    def run(self, data: bytes) -> None:
        """One case."""
        self._case[: 4 + len(data)] = len(data).to_bytes(4, "little") + data
        signal.setitimer(signal.ITIMER_VIRTUAL, MAX_CASE_SECONDS)
        try:
            outcome = self._check(data, clips_one_in=CLIPS_ONE_IN)
        except Exception as error:
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
            outcome = "FAILED"
            self._keep(error, data)
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        self._outcomes[outcome] += 1
        self._count += 1
        if self._count % LIMIT_EVERY == 0:
            _limit_memory()
        if self._count == self._options.runs or (self._count % CLOCK_EVERY == 0 and time.monotonic() > self._deadline):
            self.finish()

    def finish(self) -> None:
        """Write the report and end: libFuzzer has no way to stop it from within."""
        report = {
            "outcomes": self._outcomes,
            "failures": list(self._failures.values()),
            "cpu_seconds": time.process_time(),
        }
        Path(self._options.report).write_text(json.dumps(report))
        os._exit(0)

    def _keep(self, error: Exception, data: bytes) -> None:
        """One case of each kind of failure, the shortest."""
        frames = [f"{Path(frame.filename).name}:{frame.lineno}" for frame in traceback.extract_tb(error.__traceback__)]
        said = re.sub(r"[0-9.]+", "#", str(error))[:60] if isinstance(error, AssertionError) else ""
        name = f"{type(error).__name__} {said} {frames[-2:]}"
        kept = self._failures.get(name)
        if kept is None or len(data) < len(base64.b64decode(kept["data"])):
            trace = "".join(traceback.format_exception(error))[-3000:]
            self._failures[name] = {"error": repr(error)[:500], "trace": trace, "data": base64.b64encode(data).decode()}


def _raise_hang(number: int, frame: FrameType | None) -> None:
    raise HangError(f"a case took more than {MAX_CASE_SECONDS} seconds")


def main() -> None:
    """Run until the time is over."""
    parser = argparse.ArgumentParser()
    for name, kind in (("engine", str), ("seed", int), ("seconds", int), ("runs", int), ("report", str), ("case", str)):
        parser.add_argument(f"--{name}", type=kind, required=True)
    parser.add_argument("--corpus")
    parser.add_argument("--target", choices=TARGETS, default="mp4")
    options = parser.parse_args()
    (_run_atheris if options.engine == "atheris" else _run_random)(options, TARGETS[options.target])


def _limit_memory() -> None:
    """Allow `MAX_MEMORY_BYTES` more than the process has now."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + MAX_MEMORY_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))


def _seeds(options: argparse.Namespace, target: Target) -> list[bytes]:
    kept = sorted(Path(options.corpus).iterdir()) if options.corpus and Path(options.corpus).is_dir() else []
    return [*target.seeds(Random(options.seed), SEED_COUNT), *(path.read_bytes()[:MAX_CASE_BYTES] for path in kept)]


def _run_random(options: argparse.Namespace, target: Target) -> None:
    parsed = [target.parse(data) for data in _seeds(options, target)]
    rng = Random(options.seed)
    campaign = Campaign(target.check(), options)
    _limit_memory()
    gc.freeze()  # the seeds live as long as the process
    while True:
        campaign.run(target.mutate(rng, rng.choice(parsed), rng.choice(parsed)))


def _run_atheris(options: argparse.Namespace, target: Target) -> None:
    atheris = importlib.import_module("atheris")  # optional, and without annotations
    package = importlib.util.find_spec(target.package)
    assert package is not None
    assert package.origin is not None
    root = Path(package.origin).parent
    modules = (path.relative_to(root).with_suffix("") for path in root.rglob("*.py"))
    others = {".".join((target.package, *module.parts)) for module in modules}
    instrumented = {f"{target.package}.{name}" for name in target.instrumented}
    with atheris.instrument_imports(include=[target.package], exclude=[target.package, *(others - instrumented)]):
        check = target.check()
    seeds = _seeds(options, target)
    corpus = Path(options.corpus)
    corpus.mkdir(parents=True, exist_ok=True)
    if not any(corpus.iterdir()):
        for number, data in enumerate(seeds):
            (corpus / f"seed-{number:04}").write_bytes(data)
    campaign = Campaign(check, options)

    def custom_mutator(data: bytes, max_size: int, seed: int) -> bytes:
        rng = Random(seed)
        kind = rng.random()
        if kind < 0.1:
            return atheris.Mutate(data, max_size)
        if kind < 0.4:  # what covers something new is mostly broken: begin again with what is right
            data = rng.choice(seeds)
        return target.mutate(rng, target.parse(data), target.parse(rng.choice(seeds)))[:max_size]

    arguments = [sys.argv[0], f"-seed={options.seed}", "-max_len=16384", "-timeout=60", "-rss_limit_mb=0"]
    arguments += [f"-max_total_time={options.seconds + 30}", "-len_control=0", "-print_final_stats=0", str(corpus)]
    atheris.Setup(arguments, campaign.run, custom_mutator=custom_mutator)
    _limit_memory()
    atheris.Fuzz()


if __name__ == "__main__":
    main()
