"""Sample reports for the tests of the formats: figures and findings of any number."""

import random

import numpy as np

from episeek_pipelines.verify.findings.figures import CameraFigures, Figures
from episeek_pipelines.verify.findings.findings import Finding, Location
from episeek_pipelines.verify.findings.report import VerificationReport
from episeek_pipelines.verify.rules import RULES

CAMERAS = ("observation.images.front", "observation.images.wrist", "observation.images.top")


def figures(episode_count: int, *, cameras: tuple[str, ...] = CAMERAS, fps: float = 30.0, seed: int = 0) -> Figures:
    rng = np.random.default_rng(seed)
    episodes = np.arange(episode_count, dtype=np.int64)
    length = rng.gamma(9, 40, episode_count).astype(np.int64) + 30
    drawn = []
    for number, key in enumerate(cameras):
        drift = np.where(episodes % 50 > 40, (episodes % 50 - 40) * 0.004 * number, 0.0)
        drift[rng.random(episode_count) < 0.01] = np.nan
        byte_count = (length * rng.normal(4000 + 2500 * number, 300, episode_count)).astype(np.int64)
        intervals = np.array([2], np.int64) if number < 2 else np.array([1, 2, 30, 250], np.int64)
        counts = np.array([length.sum() // 2, 400, 120, 9], np.int64)[: intervals.size]
        drawn.append(CameraFigures(key, episodes, byte_count, drift, intervals, counts))
    return Figures(episodes, length, fps, tuple(drawn))


def findings(count: int, *, seed: int = 0) -> tuple[Finding, ...]:
    """Return `count` findings of a dozen rules, most of them of the first rules."""
    random_ = random.Random(seed)
    rules = sorted(RULES.values(), key=lambda rule: rule.code)[::4]
    made = []
    for number in range(count):
        rule = rules[min(int(random_.expovariate(0.5)), len(rules) - 1)]
        episode = random_.randrange(1000)
        camera = random_.choice(CAMERAS) if rule.code.startswith(("VID", "IDX")) else None
        folder = f"videos/{camera}" if camera else "data"
        file = f"{folder}/chunk-000/file-{episode // 50:03d}.{'mp4' if camera else 'parquet'}"
        row = episode * 300 + number % 300 if rule.code.startswith("ROW") else None
        where = Location(file, episode, camera, row, "frame_index" if row is not None else None)
        made.append(
            Finding(
                rule.code,
                rule.severity,
                f"found {number}",
                f"{number + 1}",
                where,
                more=number % 7 if number % 11 == 0 else 0,
            )
        )
    return tuple(sorted(made))


def report(found: tuple[Finding, ...] = (), drawn: Figures | None = None, **changes: object) -> VerificationReport:
    drawn = drawn if drawn is not None else Figures()
    values = {
        "root": "hf://datasets/example/pick_and_place",
        "findings": found,
        "episode_count": drawn.episode_index.size,
        "data_file_count": 20,
        "video_file_count": 20 * len(drawn.cameras),
        "files_read": 84,
        "bytes_read": 12_345_678,
        "timestamp_tolerance_seconds": 0.0,
        "level": "rows",
        "figures": drawn,
    }
    return VerificationReport(**{**values, **changes})  # type: ignore[arg-type]
