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
"""Defaults of the options that cannot be combined with a publication."""


@dataclass(frozen=True, slots=True)
class BatchOptions:
    """The options of a whole batch, or of one dataset for which the manifest gives other options.

    The fields above `publish` have the meaning of the arguments of `prepare` with the same names.
    """

    videos: Videos = "none"
    max_episodes_per_file: int | None = None
    keyframes: KeyframeChoice = "auto"
    video_file_size_mb: float | None = None
    skip_episodes: tuple[int, ...] = ()
    """Episodes to leave out of one dataset of version 2.x."""
    publish: bool = False
    """Whether to publish each dataset onto the repository of the Hub that it comes from. If so, the folder of the results contains
    only the ledger (the record of states) and the reports.
    """
    create_pr: bool = False
    """Whether to publish as draft pull requests, which others can merge."""

    def __post_init__(self) -> None:
        """Raise ManifestError if an option cannot be combined with the others."""
        if self.video_file_size_mb is not None and self.videos != "pack":
            found = f"video_file_size_mb={self.video_file_size_mb:g} with videos={self.videos}"
            raise ManifestError(_WHERE, found, "video_file_size_mb only with videos=pack")
        if self.publish:
            given = [name for name in ("skip_episodes", "videos") if getattr(self, name) != _DEFAULTS[name]]
            if given:
                found = f"{' and '.join(given)} with publish"
                hint = "prepare the dataset with `episeek prepare`, and publish the result with `episeek publish`"
                raise ManifestError(_WHERE, found, "a publication with all episodes and unchanged videos", hint)

    def as_dict(self) -> dict[str, Any]:
        """Return the options as a JSON document."""
        return {**asdict(self), "skip_episodes": list(self.skip_episodes)}

    @classmethod
    def of(cls, document: dict[str, Any]) -> "BatchOptions":
        """Return the options from a document that `as_dict` made."""
        return cls(**{**document, "skip_episodes": tuple(document["skip_episodes"])})

    def with_row(self, text: str, *, where: str) -> "BatchOptions":
        """Return these options with the changes that the manifest gives for one dataset.

        Args:
            text: The changes, such as `videos=copy keyframes=all max_episodes_per_file=100`.
            where: The line or row of the manifest, for messages.

        Raises:
            ManifestError: An option is unknown, has an invalid value, or cannot be combined with the other options.
        """
        changes: dict[str, Any] = {}
        try:
            words = shlex.split(text)
        except ValueError:
            raise ManifestError(where, f"options {text!r}", "options NAME=VALUE, separated by spaces") from None
        for word in words:
            name, _, value = word.partition("=")
            name = name.lstrip("-").replace("-", "_")
            changes[name] = _value_of(name, value, where)
        if changes.get("videos", "pack") != "pack":
            # The file size of the whole batch applies only to datasets whose videos are packed.
            changes.setdefault("video_file_size_mb", None)
        try:
            return replace(self, **changes)
        except ManifestError as error:
            raise ManifestError(where, error.found, error.expected, error.hint) from None


def work_versions() -> dict[str, Any]:
    """Return the versions of the rewrite, the index and the packing.

    Together with the source and the options, these versions decide the bytes of a result.
    """
    return {"rewrite_version": REWRITE_VERSION, "index_version": sidecars.INDEX_VERSION, "pack_version": PACK_VERSION}


def _value_of(name: str, value: str, where: str) -> Any:
    choices = {"videos": VIDEO_CHOICES, "keyframes": KEYFRAME_CHOICES}
    if name in choices:
        if value not in choices[name]:
            raise ManifestError(where, f"{name}={value}", f"{name}= followed by one of {', '.join(choices[name])}")
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
            raise ManifestError(where, f"{name}={value}", "numbers of episodes, separated by commas")
        return tuple(sorted({int(part) for part in value.split(",")}))
    known = ", ".join(each.name for each in fields(BatchOptions) if each.name not in ("publish", "create_pr"))
    raise ManifestError(where, f"the option {name!r}", f"one of the options {known}")
