"""INF001, the part in `features`: what LeRobot looks up in each of them, whatever it makes of it."""

from collections.abc import Iterator, Mapping
from typing import Any

from episeek_pipelines.verify.findings.findings import Finding, Location, finding
from episeek_pipelines.verify.rules import FPS, INFO
from episeek_schemas import layout, lerobot
from episeek_schemas.lerobot import DatasetInfo


def check_features(features: Mapping[str, Any]) -> Iterator[Finding]:
    """Each feature is an object with a `dtype` and a `shape`; which dtypes there are is LeRobot's business."""
    for name, spec in features.items():
        where = Location(file=layout.INFO_PATH, column=f"features.{str(name)[:100]}")
        if not isinstance(spec, Mapping):
            yield finding(INFO, f"{_short(spec)}", "an object with dtype and shape", where)
            continue
        if not isinstance(spec.get("dtype"), str) or not spec["dtype"]:
            yield finding(INFO, f"dtype {_short(spec.get('dtype'))}", "the name of a type", where)
        shape = spec.get("shape")
        if not isinstance(shape, list) or not all(isinstance(size, int) and size >= 0 for size in shape):
            yield finding(INFO, f"shape {_short(shape)}", "a list of whole numbers", where)


def _short(value: object) -> str:
    return "nothing" if value is None else repr(value)[:60]


def check_declared_rates(features: Mapping[str, Any], info: DatasetInfo) -> Iterator[Finding]:
    """INF002, the part in `features`: each camera is declared with the dataset's rate, where it is declared with one."""
    for camera in info.video_keys:
        for declared_info in lerobot.video_infos(features[camera]):
            declared = declared_info.get("video.fps")
            is_number = isinstance(declared, int | float) and not isinstance(declared, bool)
            if is_number and declared != info.fps:
                where = Location(file=layout.INFO_PATH, camera=camera, column="video.fps")
                yield finding(FPS, f"video.fps {declared:g}", f"{info.fps:g}, the fps of the dataset", where)
