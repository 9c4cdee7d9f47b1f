"""Rules about the sidecars `meta/byte_index/`."""

from typing import Final

from episeek_pipelines.verify.rules.registry import rule

INDEXED_FILES: Final = rule(
    "IDX031", "the sidecars list every MP4 of the dataset, as it is", "error", "layout",
    protects="byte ranges, which are wrong for a file that changed",
    remedy="run `episeek index` again",
)  # fmt: skip
INDEXED_SPANS: Final = rule(
    "IDX032", "the sidecars have one span per episode and camera, inside its file, from a sync sample", "error", "layout",
    protects="look-ups by row number and clips that decode on their own",
    remedy="run `episeek index` again",
)  # fmt: skip
INDEXED_SAMPLES: Final = rule(
    "IDX033", "the sidecars' samples and keyframes are those of the video's header", "error", "layout",
    protects="frame mappings made from the sidecars alone: a wrong one returns other pictures silently",
    remedy="run `episeek index` again",
)  # fmt: skip
SIDECAR_FORMAT: Final = rule(
    "IDX034", "the sidecars have a known version, one build, the format's columns, order and layout", "error", "layout",
    protects="mapping the tables instead of loading them",
    remedy="run `episeek index` again; do not edit sidecars with other tools",
)  # fmt: skip
STALE: Final = rule(
    "IDX036", "the sidecars were built from the episodes as they are declared now", "warning", "layout",
    protects="readers of the sidecars from an edit of the metadata that they do not know of",
    remedy="run `episeek index` again",
)  # fmt: skip
