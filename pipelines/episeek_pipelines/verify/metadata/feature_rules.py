"""INF001 and INF002: check `features` of meta/info.json, for the keys that LeRobot needs and the frame rates of the cameras."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from episeek_pipelines.verify.findings.findings import Finding, Location, finding
from episeek_pipelines.verify.findings.quoting import one_line
from episeek_pipelines.verify.rules import FPS, INFO
from episeek_schemas import layout, lerobot
from episeek_schemas.features import is_known_dtype
from episeek_schemas.lerobot import DatasetInfo

_PICTURES: Final = ("image", "video")
_SIZES: Final = ("height", "width", "channels")

CHANNEL_NAMES: Final = "a list of three names, such as [height, width, channels]"

_INFO, _OLD_INFO = lerobot.VIDEO_INFO_KEYS
_RATE_REMEDY: Final = (
    "if the files have the frame rate fps, run `episeek repair SRC DST`, or set video.fps in the camera's `info` to fps. If they "
    "have another rate, fps itself may be wrong: `episeek verify --level rows` reports these files with another INF002, and ROW017 "
    "if the timestamps contradict fps, too"
)
_STALE_REMEDY: Final = (
    "run `episeek repair SRC DST`, or remove `video_info` from the feature in meta/info.json: LeRobot reads "
    "`info` instead, and writes it if it is missing"
)
_NAMES_REMEDY: Final = (
    'set names in meta/info.json to the meaning of each number of shape, for example ["height", "width", "channels"]'
)
_DTYPE_REMEDY: Final = (
    "decide what the values of the feature are: if LeRobot needs them, use a version of LeRobot that supports the dtype; if not, "
    "remove the feature with its columns and statistics"
)


def check_features(features: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield INF001 for features that LeRobot cannot use.

    A feature needs a `shape`, and a `dtype` that `datasets` supports. A feature with pictures needs three sizes and three names,
    since every policy looks up the name of the third size.
    """
    for name, spec in features.items():
        where = Location(file=layout.INFO_PATH, column=f"features.{str(name)[:100]}")
        if not isinstance(spec, Mapping):
            yield finding(INFO, _short(spec), "an object with dtype and shape", where)
            continue
        dtype, shape = spec.get("dtype"), spec.get("shape")
        if not isinstance(dtype, str) or not dtype:
            found = f"dtype {_short(dtype)}" if "dtype" in spec else "no dtype"
            yield finding(INFO, found, "the name of a type as dtype", where)
        elif not is_known_dtype(dtype):
            expected = "a dtype of pyarrow, or image, video or language"
            yield finding(INFO, f"the unknown dtype {one_line(dtype, 40)}", expected, where, remedy=_DTYPE_REMEDY)
        if not isinstance(shape, list) or not all(isinstance(size, int) and size >= 0 for size in shape):
            found = f"shape {_short(shape)}" if "shape" in spec else "no shape"
            yield finding(INFO, found, "a list of whole numbers as shape", where)
        elif dtype in _PICTURES and len(shape) != len(_SIZES):
            yield finding(INFO, f"shape {_short(shape)} of pictures", "three sizes: height, width and channels", where)
        if dtype in _PICTURES and not _has_three_names(spec.get("names")):
            found = f"{_short(spec['names'])} as names" if "names" in spec else "no names"
            yield finding(INFO, f"{found} of the dimensions of pictures", CHANNEL_NAMES, where, remedy=_NAMES_REMEDY)


def _has_three_names(names: object) -> bool:
    return isinstance(names, list) and len(names) >= len(_SIZES) and all(isinstance(name, str) for name in names)


def _short(value: object) -> str:
    return "null" if value is None else repr(value)[:60]


def check_declared_rates(features: Mapping[str, Any], info: DatasetInfo) -> Iterator[Finding]:
    """Yield INF002 for each camera that declares another frame rate than the dataset.

    A camera without a declared rate passes. LeRobot does not read these rates. A wrong rate in `video_info`, which only old
    versions of LeRobot wrote, is a warning.
    """
    for camera in info.video_keys:
        for key, is_read, remedy in ((_INFO, True, _RATE_REMEDY), (_OLD_INFO, False, _STALE_REMEDY)):
            described = features[camera].get(key)
            declared = described.get("video.fps") if isinstance(described, Mapping) else None
            is_number = isinstance(declared, int | float) and not isinstance(declared, bool)
            if is_number and declared != info.fps:
                yield finding(
                    FPS,
                    f"video.fps {declared:g}",
                    f"{info.fps:g}, the fps of the dataset",
                    Location(
                        file=layout.INFO_PATH, camera=camera, column="video.fps" if is_read else f"{key}.video.fps"
                    ),
                    remedy=remedy,
                    severity=None if is_read else "warning",
                )
