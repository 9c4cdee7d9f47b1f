"""INF001, the part in `features`: what LeRobot looks up in each of them, whatever it makes of it."""

from collections.abc import Iterator, Mapping
from typing import Any

from episeek_pipelines.verify.findings.findings import Finding, Location, finding
from episeek_pipelines.verify.rules import INFO
from episeek_schemas import layout


def check_features(features: Mapping[str, Any]) -> Iterator[Finding]:
    """Each feature is an object with a `dtype` and a `shape`; which dtypes there are is LeRobot's business."""
    for name, spec in features.items():
        where = Location(file=layout.INFO_PATH, column=f"features.{str(name)[:100]}")
        if not isinstance(spec, Mapping):
            yield finding(INFO, f"{_short(spec)}; expected an object with dtype and shape", where)
            continue
        if not isinstance(spec.get("dtype"), str) or not spec["dtype"]:
            yield finding(INFO, f"dtype {_short(spec.get('dtype'))}; expected the name of a type", where)
        shape = spec.get("shape")
        if not isinstance(shape, list) or not all(isinstance(size, int) and size >= 0 for size in shape):
            yield finding(INFO, f"shape {_short(shape)}; expected a list of whole numbers", where)


def _short(value: object) -> str:
    return "nothing" if value is None else repr(value)[:60]
