"""What makes the processes of a test run start faster: less garbage collection, and one compilation for all of them."""

import compileall
import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from _pytest.assertion import rewrite

FOLDERS = ("schemas", "src", "pipelines", "tests")


@contextmanager
def without_garbage_collection() -> Iterator[None]:
    """Collect no garbage meanwhile: modules and tests stay. Nor are they looked at afterwards, each time anything is freed."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def compile_a_share(config: pytest.Config) -> None:
    """Compile this worker's share of the files that have no bytecode yet, tests with pytest's assertions.

    In a fresh checkout every worker would otherwise do all of it, as they import the same files at the same time.
    """
    worker = getattr(config, "workerinput", None)
    if worker is None or sys.dont_write_bytecode:
        return
    files = [path for folder in FOLDERS for path in (config.rootpath / folder).rglob("*.py")]
    files.sort(key=lambda path: (path.stat().st_size, path), reverse=True)
    share = files[int(worker["workerid"].removeprefix("gw")) :: worker["workercount"]]
    for path in share:
        if path.name.startswith("test_"):
            _rewrite(path, config)
        else:
            compileall.compile_file(path, quiet=2)


def _rewrite(path: Path, config: pytest.Config) -> None:
    """Write what `AssertionRewritingHook.exec_module` would write when it imports the file."""
    target = rewrite.get_cache_dir(path) / f"{path.stem}{rewrite.PYC_TAIL}"
    if rewrite._read_pyc(path, target) is None and rewrite.try_makedirs(target.parent):
        source_hash, code = rewrite._rewrite_test(path, config)
        rewrite._write_pyc(config.stash[rewrite.assertstate_key], code, source_hash, target)
