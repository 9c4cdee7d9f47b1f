"""INF001 and INF002 in `features` of meta/info.json: the keys that LeRobot looks up in each feature, and the declared rates."""

from collections.abc import Iterator, Mapping
from typing import Any

from episeek_pipelines.verify.findings.findings import Finding, Location, finding
from episeek_pipelines.verify.rules import FPS, INFO
from episeek_schemas import layout, lerobot
from episeek_schemas.lerobot import DatasetInfo


def check_features(features: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield INF001 for features that are not an object with a `dtype` and a `shape`; any dtype passes."""
    for name, spec in features.items():
        where = Location(file=layout.INFO_PATH, column=f"features.{str(name)[:100]}")
        if not isinstance(spec, Mapping):
            yield finding(INFO, _short(spec), "an object with dtype and shape", where)
            continue
        if not isinstance(spec.get("dtype"), str) or not spec["dtype"]:
            found = f"dtype {_short(spec['dtype'])}" if "dtype" in spec else "no dtype"
            yield finding(INFO, found, "the name of a type as dtype", where)
        shape = spec.get("shape")
        if not isinstance(shape, list) or not all(isinstance(size, int) and size >= 0 for size in shape):
            found = f"shape {_short(shape)}" if "shape" in spec else "no shape"
            yield finding(INFO, found, "a list of whole numbers as shape", where)


def _short(value: object) -> str:
    return "null" if value is None else repr(value)[:60]


def check_declared_rates(features: Mapping[str, Any], info: DatasetInfo) -> Iterator[Finding]:
    """Yield INF002 for cameras whose declared rate is not the dataset's; cameras without a declared rate pass."""
    for camera in info.video_keys:
        for declared_info in lerobot.video_infos(features[camera]):
            declared = declared_info.get("video.fps")
            is_number = isinstance(declared, int | float) and not isinstance(declared, bool)
            if is_number and declared != info.fps:
                where = Location(file=layout.INFO_PATH, camera=camera, column="video.fps")
                yield finding(FPS, f"video.fps {declared:g}", f"{info.fps:g}, the fps of the dataset", where)
