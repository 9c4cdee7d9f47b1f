import pickle
import subprocess
import sys

import pytest

import episeek

HEAVY = ("dask", "distributed", "pandera", "huggingface_hub", "torch", "torchcodec", "av", "tqdm", "pandas", "datasets")
ON_USE = ("numpy", "pyarrow", "fsspec", "obstore", "urllib3", "aiohttp")


def run_python(program: str, *arguments: str) -> str:
    """Return what a program prints that runs in an interpreter of its own."""
    command = [sys.executable, "-c", program, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.mark.parametrize("statement", ["import episeek", "from episeek import __version__", "import episeek.errors"])
def test_import_loads_no_array_or_file_library(statement):
    program = f"import sys; {statement}; print([name for name in {HEAVY + ON_USE!r} if name in sys.modules])"
    assert run_python(program) == "[]"


def test_using_a_name_loads_no_heavy_dependency():
    program = (
        f"import sys; from episeek import *; print([name for name in {HEAVY!r} if name in sys.modules], ClipCache)"
    )
    assert run_python(program) == "[] <class 'episeek.cache.ClipCache'>"


@pytest.mark.parametrize("name", sorted(set(episeek.__all__) - {"__version__"}))
def test_every_public_name_can_be_imported_first(name):
    assert run_python(f"from episeek import {name}; import episeek; print({name} is episeek.{name})") == "True"


def test_names_are_listed_and_others_refused():
    assert set(episeek.__all__) <= set(dir(episeek))
    assert run_python("import episeek; print('ClipCache' in dir(episeek))") == "True"
    with pytest.raises(AttributeError, match="no attribute 'opne'"):
        episeek.opne  # type: ignore[attr-defined]  # noqa: B018
    assert pickle.loads(pickle.dumps(episeek.RetryPolicy(2))) == episeek.RetryPolicy(2)


def test_a_fork_before_any_name_is_used_is_not_missed():
    """obstore's threads do not exist in a forked child, which has to know that, whoever loaded obstore."""
    pytest.importorskip("obstore")
    program = """
import os, sys
import episeek
import obstore
child = os.fork()
if not child:
    from episeek.stores.processes import forks
    os._exit(7 if forks.is_child_of_obstore() else 1)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    assert run_python(program) == "7"


def test_decoding_with_pyav_loads_no_torch(sidecar_roots):
    program = (
        "import sys, episeek; index = episeek.open(sys.argv[1], data_root=sys.argv[2]); "
        "index.clip(0, index.cameras[0]).decode('pyav'); print('av' in sys.modules, 'torch' in sys.modules)"
    )
    from tests.support.build_index import DATA

    assert run_python(program, str(sidecar_roots["hevc"]), str(DATA / "hevc")) == "True False"
