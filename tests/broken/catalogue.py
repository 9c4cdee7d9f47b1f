"""All cases, and the table of them that is written next to the datasets."""

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any, Final

from tests.broken import (
    card,
    decoding,
    duplicates,
    metadata,
    motion,
    rewrites,
    rows,
    sidecars,
    statistics,
    tasks,
    training,
    videos,
)
from tests.broken.case import Case

CASES: Final[tuple[Case, ...]] = (
    *metadata.CASES,
    *tasks.CASES,
    *statistics.CASES,
    *card.CASES,
    *rows.CASES,
    *duplicates.CASES,
    *motion.CASES,
    *rewrites.CASES,
    *videos.CASES,
    *decoding.CASES,
    *sidecars.CASES,
    *training.CASES,
)

TABLE_NAME: Final = "index.json"


def chosen(codes: Collection[str]) -> tuple[Case, ...]:
    """Return the cases with any of the codes, or all cases where no code is given."""
    return tuple(case for case in CASES if not codes or case.all_codes & set(codes))


def entry(case: Case) -> dict[str, Any]:
    """Return the entry of a case in `index.json`."""
    return {
        "name": case.folder,
        "codes": sorted(case.all_codes),
        "base": case.sample,
        "description": case.name,
        "reproduces": case.reproduces,
        "level": case.level,
        "options": dict(case.options),
        "indexed": case.indexed,
        "prepared": case.is_prepared,
        "against": case.sample if case.against else None,
    }


def write_all(folder: Path, cases: Collection[Case] = CASES) -> None:
    """Write each dataset to a folder of its own, and the table; existing folders stay as they are."""
    folder.mkdir(parents=True, exist_ok=True)
    for case in cases:
        if not (folder / case.folder).exists():
            case.make(folder / case.folder)
    (folder / TABLE_NAME).write_text(json.dumps([entry(case) for case in cases], indent=1) + "\n")
