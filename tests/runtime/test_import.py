import subprocess
import sys

HEAVY = ("dask", "distributed", "pandera", "huggingface_hub", "torch", "torchcodec", "av", "tqdm", "pandas", "datasets")


def test_import_loads_no_heavy_dependency():
    program = f"import sys, episeek; print([name for name in {HEAVY!r} if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert found.stdout.strip() == "[]"


def test_decoding_with_pyav_loads_no_torch(sidecar_roots):
    program = (
        "import sys, episeek; index = episeek.open(sys.argv[1], data_root=sys.argv[2]); "
        "index.clip(0, index.cameras[0]).decode('pyav'); print('av' in sys.modules, 'torch' in sys.modules)"
    )
    from tests.support.build_index import DATA

    arguments = [sys.executable, "-c", program, str(sidecar_roots["hevc"]), str(DATA / "hevc")]
    found = subprocess.run(arguments, check=True, capture_output=True, text=True)
    assert found.stdout.split() == ["True", "False"]
