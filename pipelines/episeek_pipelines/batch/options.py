"""The options of a batch: how each dataset is prepared, and whether it is published."""

import math
import shlex
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Final

from episeek_pipelines.batch.errors import ManifestError
from episeek_pipelines.jobs.video_choice import VIDEO_CHOICES, Videos
from episeek_pipelines.pack.plan import PACK_VERSION
from episeek_pipelines.rewrite.rewrite import REWRITE_VERSION
from episeek_pipelines.video.decoding_starts.keyframe_choice import KEYFRAME_CHOICES, KeyframeChoice
from episeek_schemas import sidecars

_WHERE: Final = "the options of a batch"
_DEFAULTS: Final[dict[str, Any]] = {"videos": "none", "skip_episodes": ()}
"""Of the options that a publication cannot use."""


@dataclass(frozen=True, slots=True)
class BatchOptions:
    """The options of every dataset of a batch; those of one dataset where the manifest gives some."""

    videos: Videos = "none"
    """As for `prepare`."""
    max_episodes_per_file: int | None = None
    keyframes: KeyframeChoice = "auto"
    video_file_size_mb: float | None = None
    skip_episodes: tuple[int, ...] = ()
    """Episodes of one dataset of version 2.x to leave out."""
    publish: bool = False
    """Publish each dataset onto the repository of the Hub that it comes from; OUT holds the ledger alone."""
    create_pr: bool = False
    """Leave draft pull requests for others to merge."""

    def __post_init__(self) -> None:
        """Raise ManifestError where an option has no effect with the others."""
        if self.video_file_size_mb is not None and self.videos != "pack":
            found = f"video_file_size_mb={self.video_file_size_mb:g} with videos={self.videos}"
            raise ManifestError(_WHERE, found, "a size of packed files with videos=pack alone")
        if self.publish:
            given = [name for name in ("skip_episodes", "videos") if getattr(self, name) != _DEFAULTS[name]]
            if given:
                found = f"{' and '.join(given)} with publish"
                hint = "prepare that dataset into a folder, and publish it from there"
                raise ManifestError(_WHERE, found, "a dataset that is published whole, its videos as they are", hint)

    def as_dict(self) -> dict[str, Any]:
        """Return the options for JSON."""
        return {**asdict(self), "skip_episodes": list(self.skip_episodes)}

    @classmethod
    def of(cls, document: dict[str, Any]) -> "BatchOptions":
        """Return the options that `as_dict` gave."""
        return cls(**{**document, "skip_episodes": tuple(document["skip_episodes"])})

    def with_row(self, text: str, *, where: str) -> "BatchOptions":
        """Return these options with those of one dataset: `videos=copy keyframes=all max_episodes_per_file=100`.

        Args:
            text: What the manifest says.
            where: The place in the manifest, for messages.

        Raises:
            ManifestError: An option has another name, no valid value, or no effect with the others.
        """
        changes: dict[str, Any] = {}
        try:
            words = shlex.split(text)
        except ValueError:
            raise ManifestError(where, f"options {text!r}", "NAME=VALUE with spaces between them") from None
        for word in words:
            name, _, value = word.partition("=")
            name = name.lstrip("-").replace("-", "_")
            changes[name] = _value_of(name, value, where)
        if changes.get("videos", "pack") != "pack":
            # a size for all datasets is one for those that are packed
            changes.setdefault("video_file_size_mb", None)
        try:
            return replace(self, **changes)
        except ManifestError as error:
            raise ManifestError(where, error.found, error.expected, error.hint) from None


def work_versions() -> dict[str, Any]:
    """Return the versions that decide the result of `prepare`, beside its source and options."""
    return {"rewrite_version": REWRITE_VERSION, "index_version": sidecars.INDEX_VERSION, "pack_version": PACK_VERSION}


def _value_of(name: str, value: str, where: str) -> Any:
    choices = {"videos": VIDEO_CHOICES, "keyframes": KEYFRAME_CHOICES}
    if name in choices:
        if value not in choices[name]:
            raise ManifestError(where, f"{name}={value}", f"{name}= one of {', '.join(choices[name])}")
        return value
    if name == "max_episodes_per_file":
        if not value.isascii() or not value.isdigit() or int(value) < 1:
            raise ManifestError(where, f"{name}={value}", "a whole number, 1 or more")
        return int(value)
    if name == "video_file_size_mb":
        try:
            size = float(value)
        except ValueError:
            size = 0.0
        if not 0 < size < math.inf:
            raise ManifestError(where, f"{name}={value}", "a number of megabytes above 0")
        return size
    if name == "skip_episodes":
        if not all(part.isascii() and part.isdigit() for part in value.split(",")):
            raise ManifestError(where, f"{name}={value}", "numbers of episodes with commas between them")
        return tuple(sorted({int(part) for part in value.split(",")}))
    known = ", ".join(each.name for each in fields(BatchOptions) if each.name not in ("publish", "create_pr"))
    raise ManifestError(where, f"the option {name!r}", f"options of one dataset: {known}")
