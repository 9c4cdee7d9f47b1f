"""All cases, and the table of them that lies beside the datasets."""

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any, Final

from tests.broken import card, decoding, metadata, rewrites, rows, sidecars, statistics, tasks, training, videos
from tests.broken.case import Case

CASES: Final[tuple[Case, ...]] = (
    *metadata.CASES,
    *tasks.CASES,
    *statistics.CASES,
    *card.CASES,
    *rows.CASES,
    *rewrites.CASES,
    *videos.CASES,
    *decoding.CASES,
    *sidecars.CASES,
    *training.CASES,
)

TABLE_NAME: Final = "index.json"


def chosen(codes: Collection[str]) -> tuple[Case, ...]:
    """The cases with any of the codes; all without one."""
    return tuple(case for case in CASES if not codes or case.all_codes & set(codes))


def entry(case: Case) -> dict[str, Any]:
    """What `index.json` says of a case."""
    return {
        "name": case.folder,
        "codes": sorted(case.all_codes),
        "base": case.base,
        "description": case.name,
        "reproduces": case.reproduces,
        "level": case.level,
        "options": dict(case.options),
        "indexed": case.indexed,
        "prepared": case.is_prepared,
        "against": case.base if case.against else None,
    }


def write_all(folder: Path, cases: Collection[Case] = CASES) -> None:
    """The dataset of each case in a folder of its own, and the table; what is there already stays."""
    folder.mkdir(parents=True, exist_ok=True)
    for case in cases:
        if not (folder / case.folder).exists():
            case.make(folder / case.folder)
    (folder / TABLE_NAME).write_text(json.dumps([entry(case) for case in cases], indent=1) + "\n")
