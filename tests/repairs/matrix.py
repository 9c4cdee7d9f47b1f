"""One cell of the matrix: a sample with some defects is repaired, and compared with the sample itself.

The oracle reads with plain pyarrow what LeRobot reads (`tests.pipelines.verify.test_remedies.meaning`), and takes the pictures from
the sidecars of the prepared sample: the same samples of the same file at the same times are the same pictures.
"""

import hashlib
import json
import shutil
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, Literal

import numpy as np

import episeek
from episeek.errors import EpiseekError
from episeek_pipelines.api import Execution, VerificationReport, prepare, repair
from tests.repairs.defects import DEFECTS, Defect
from tests.support.broken_datasets import copy_of
from tests.support.build_index import DATA
from tests.support.lerobot_meaning import rows_meaning

SAMPLES: Final = ("av1_multifile", "h264_bframes", "hevc", "images", "edited")
SYNC: Final = Execution("sync")

Verdict = Literal["repaired", "refused"]


@dataclass(frozen=True, slots=True)
class Cell:
    """What became of a sample with some defects."""

    sample: str
    defects: tuple[str, ...]
    verdict: Verdict
    detail: str
    """The codes of the repairs, or the refusal by name."""


class ThirdOutcomeError(AssertionError):
    """A dataset that is neither repaired exactly nor refused by name."""


SEVERAL_FILES: Final = frozenset(("av1_multifile", "edited"))
"""The samples whose cameras have several files."""


def applies(sample: str, defects: Sequence[Defect]) -> bool:
    if any(defect.needs_files for defect in defects) and sample not in SEVERAL_FILES:
        return False
    return sample != "images" or not any(defect.needs_videos for defect in defects)


def try_cell(sample: str, defects: Sequence[Defect]) -> Cell:
    """Damage a copy of a sample, repair it, and judge the result.

    Raises:
        ThirdOutcomeError: It is neither repaired nor refused.
    """
    names = tuple(defect.name for defect in defects)
    with TemporaryDirectory() as folder:
        root = copy_of(sample, Path(folder), name="broken")
        for defect in sorted(defects, key=lambda each: each.order):
            defect.damage(root)
        before = digests(root)
        try:
            result = repair(str(root), f"{folder}/repaired", execution=SYNC)
        except EpiseekError as error:
            if digests(root) != before:
                raise ThirdOutcomeError(f"{sample}, {names}: the source was written to") from None
            return Cell(sample, names, "refused", str(error).replace(folder, ""))
        if digests(root) != before:
            raise ThirdOutcomeError(f"{sample}, {names}: the source was written to")
        assert result.after is not None
        repaired = Path(folder, "repaired")
        is_clean = codes(result.after) == codes_of_sample(sample)
        with warnings.catch_warnings():
            # totals that were refused differ from those of the sidecars
            warnings.simplefilter("ignore", episeek.StaleSidecarsWarning)
            try:
                is_same = meaning(repaired, root) == meaning_of_sample(sample)
            except (FileNotFoundError, IndexError, TypeError):
                # a table of tasks or its index that could not be restored, or a task that it lacks
                is_same = False
        if is_clean and is_same:
            return Cell(sample, names, "repaired", " ".join(sorted({each.code for each in result.made.repairs})))
        refusals = result.made.refusals
        is_named = bool(refusals) and all(len(each.readings) > 1 for each in refusals)
        if is_clean or not is_named:
            shown = [f"{each.code} {each.place} {each.before}->{each.after}" for each in result.made.repairs]
            left = [f"{each.code} {each.found}" for each in result.after.findings]
            raise ThirdOutcomeError(f"{sample}, {names}: clean {is_clean}, same {is_same}, {shown}, {left}, {refusals}")
        return Cell(sample, names, "refused", f"{refusals[0].place}: {refusals[0].found}")


def digests(root: Path) -> dict[str, str]:
    """Return the digest of every file below a folder."""
    files = (path for path in sorted(root.rglob("*")) if path.is_file())
    return {path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def codes(report: VerificationReport) -> set[str]:
    return {found.code for found in report.findings}


@cache
def _prepared_sample(sample: str) -> tuple[set[str], Any]:
    with TemporaryDirectory() as folder:
        result = prepare(str(DATA / sample), f"{folder}/prepared", execution=SYNC)
        assert result.verification is not None
        found = codes(result.verification), meaning(Path(folder, "prepared"), DATA / sample)
        shutil.rmtree(f"{folder}/prepared")
        return found


def codes_of_sample(sample: str) -> set[str]:
    return _prepared_sample(sample)[0]


def meaning_of_sample(sample: str) -> Any:
    return _prepared_sample(sample)[1]


def meaning(root: Path, videos: Path) -> dict[str, Any]:
    """What LeRobot reads of the rows, and the samples of each episode's pictures by the sidecars."""
    found = rows_meaning(root)
    index = episeek.open(root, data_root=videos)
    frames = {}
    document = json.loads((root / "meta/info.json").read_text())
    cameras = [key for key, spec in document["features"].items() if spec["dtype"] == "video"]
    for episode in range(document["total_episodes"]):
        for camera in cameras:
            clip = index.clip(episode, camera)
            file = hashlib.sha256((videos / clip.file_path).read_bytes()).hexdigest()
            ticks = clip.frame_ticks.tolist(), np.asarray(clip.samples.pts).tolist()
            frames[episode, camera] = file, clip.byte_range, *ticks
    return {**found, "frames": frames}


def defects_of(names: Sequence[str]) -> tuple[Defect, ...]:
    by_name = {defect.name: defect for defect in DEFECTS}
    return tuple(by_name[name] for name in names)
