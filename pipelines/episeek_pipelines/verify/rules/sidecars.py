"""Rules about the sidecars: the four index tables in `meta/byte_index/`, which make the videos seekable."""

from typing import Final

from episeek_pipelines.verify.rules.registry import rule

INDEXED_FILES: Final = rule(
    "IDX031", "error", "layout",
    problem="The sidecars do not list the dataset's MP4 files as they are now",
    invariant="The sidecars list every MP4 file of the dataset as it is now",
    protects="byte ranges, which are wrong for a file that has changed",
    remedy="run `episeek index` again",
)  # fmt: skip
INDEXED_SPANS: Final = rule(
    "IDX032", "error", "layout",
    problem="The sidecars have no correct span of samples for an episode of a camera",
    invariant="The sidecars have one span of samples in the file for each episode and camera, which starts at a sync sample",
    protects="look-ups by row number, and clips (one episode's frames as an MP4 file), which decode without any other bytes",
    remedy="run `episeek index` again",
)  # fmt: skip
INDEXED_SAMPLES: Final = rule(
    "IDX033", "error", "layout",
    problem="The samples or keyframes in the sidecars differ from the video's header",
    invariant="The samples and keyframes in the sidecars are the same as in the video's header",
    protects="readers that take frame positions from the sidecars alone: a wrong position silently gives another picture",
    remedy="run `episeek index` again",
)  # fmt: skip
SIDECAR_FORMAT: Final = rule(
    "IDX034", "error", "layout",
    problem="The sidecars do not follow their format",
    invariant="The sidecars have a supported version, one build, and the columns, order and layout of the format",
    protects="readers that map the tables into memory instead of loading them",
    remedy="run `episeek index` again; do not edit sidecars with other tools",
)  # fmt: skip
OUTDATED: Final = rule(
    "IDX037", "warning", "layout",
    problem="The version of the sidecars is not the version that this release writes",
    invariant="The sidecars have the format version and the index version that this release writes",
    protects="clips, which are only as correct as the version of episeek that wrote the sidecars",
    remedy="run `episeek index` again",
)  # fmt: skip
SOURCE_CHANGED: Final = rule(
    "IDX045", "warning", "meta",
    problem="The source of an overlay has changed since the overlay was prepared",
    invariant="The source of an overlay is as it was when the overlay was prepared",
    protects="readers of the overlay, which get the old episodes with the videos that the source has now",
    remedy="prepare the source again, into a new folder: `episeek prepare SRC DST`",
)  # fmt: skip
STALE: Final = rule(
    "IDX036", "warning", "layout",
    problem="The metadata of episodes has changed since the sidecars were built",
    invariant="The metadata of episodes is as it was when the sidecars were built",
    protects="readers of the sidecars, which do not see later changes of the metadata",
    remedy="run `episeek index` again",
)  # fmt: skip
