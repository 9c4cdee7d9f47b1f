"""Run the notebooks and keep their outputs in them: python docs/run_notebooks.py."""

from pathlib import Path
from typing import Any, Final

import nbformat
from nbclient import NotebookClient

ROOT: Final = Path(__file__).parents[1]
NOTEBOOKS: Final = tuple(sorted((ROOT / "notebooks").glob("*.ipynb")))


def executed(path: Path) -> Any:
    """Return a notebook with the outputs of a run, and without the run's times."""
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(notebook, timeout=240, resources={"metadata": {"path": str(ROOT)}}, record_timing=False)
    client.execute()
    notebook.metadata.pop("language_info", None)
    return notebook


if __name__ == "__main__":
    for path in NOTEBOOKS:
        nbformat.write(executed(path), path)
