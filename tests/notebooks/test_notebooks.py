"""The notebooks are committed with the outputs that running them gives."""

import os
import runpy

import nbformat
import pytest

from tests.documents.test_documents import ROOT
from tests.support.amount import IS_FULL

PICTURES = {"first_look": 2, "training": 1}
SCRIPT = runpy.run_path(str(ROOT / "docs/run_notebooks.py"), run_name="notebooks")


def outputs_of(notebook) -> list[str]:
    """Return the text of all outputs, and the kinds of the others."""
    texts = []
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            texts.append(output.get("text") or ("image/png" if "image/png" in data else data.get("text/plain", "")))
    return texts


@pytest.mark.parametrize("path", SCRIPT["NOTEBOOKS"], ids=lambda path: path.stem)
def test_a_notebook_gives_the_outputs_that_are_in_it(path, tmp_path, monkeypatch):
    if path.stem == "training":
        pytest.importorskip("torch")
        if not IS_FULL:
            pytest.skip("trains for half a minute: make test-all")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(str(ROOT / name) for name in ("schemas", "src", "pipelines")))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    committed = outputs_of(nbformat.read(path, as_version=4))
    assert committed.count("image/png") == PICTURES[path.stem]
    assert outputs_of(SCRIPT["executed"](path)) == committed, "run python docs/run_notebooks.py"
