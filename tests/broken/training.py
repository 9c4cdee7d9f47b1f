"""Layouts that do not fit a training job: TRN."""

from pathlib import Path
from typing import Final

from tests.broken.case import AV1, Case
from tests.support.broken_datasets import collapse, data_files


def collapse_all(root: Path) -> None:
    """Collapse ten episodes to three row groups."""
    for path in data_files(root):
        collapse(root, path)


CASES: Final = [
    Case("more ranks than row groups", AV1, "TRN037", collapse_all, options={"world_size": 100}),
    Case("one rank more than row groups", AV1, "TRN037", collapse_all, options={"world_size": 4}),
    Case("more workers than row groups", AV1, "TRN037W", collapse_all, options={"world_size": 2, "num_workers": 4}),
    Case("as many ranks as row groups", AV1, "", lambda r: None, options={"world_size": 10}),
]  # fmt: skip
