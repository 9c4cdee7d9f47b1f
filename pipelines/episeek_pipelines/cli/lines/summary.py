"""Show the results of jobs as lines of text."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from episeek_pipelines.api import CameraSummary, Inspection
from episeek_pipelines.cli.lines.table import table_lines
from episeek_pipelines.words import counted, human_bytes

if TYPE_CHECKING:
    from episeek_pipelines.api import CopySummary, IndexCheck, IndexSummary, PackSummary, PrepareResult, RewriteSummary


def prepare_lines(result: "PrepareResult") -> Iterator[str]:
    """Yield the lines that report what a run of `episeek prepare` or of one of its steps has done, one line for each part."""
    if result.is_current:
        yield "current  DST already contains the result for this SRC and these options: nothing was done"
    if result.is_resumed:
        yield "resume   the finished work of an earlier, stopped run was used"
    yield from _version_lines(result)
    if result.rewrite is not None:
        yield f"rewrite  {_rewrite_line(result.rewrite)}"
        if result.rewrite.corrected_episodes:
            wrong = counted(result.rewrite.corrected_episodes, "episode")
            yield f"         SRC gives a wrong data file for {wrong}; meta/episodes of DST gives the file that contains the rows."
    if result.packing is not None:
        yield f"pack     {_pack_line(result.packing)}"
    if result.index is not None:
        yield f"index    {_index_line(result.index)}"
        if result.index.sync_samples_inspected < result.index.sync_samples:
            yield f"         {_keyframes_line(result.index)}"
        yield from _warning_lines(result.index.warnings)
    if result.source_changes:
        changed = counted(len(result.source_changes), "file")
        yield f"source   {changed} of the source changed after this overlay was prepared; the first is {result.source_changes[0]}"
        yield "         The overlay contains the old episodes. To get the new ones, prepare the source again, into a new folder:"
        yield f"         {result.source_command}"
    if result.lacks_pin:
        yield "card     README.md lets readers load the sidecars as data: run `episeek rules HUB035` for the remedy"
    if result.verification is not None:
        from episeek_pipelines.api import format_counts

        yield f"verify   {format_counts(result.verification)}"
    if result.copies is not None:
        yield from _copy_lines(result.copies, is_packed=result.packing is not None)


def _version_lines(result: "PrepareResult") -> Iterator[str]:
    """Yield the lines about a conversion from version 2.x, about skipped episodes, and about files that belong to no episode."""
    if result.source_version:
        rest = "quantiles are computed from the rows; quantiles of pictures are left out"
        yield f"upgrade  LeRobot {result.source_version} -> v3.0; {rest}"
    if result.skipped_episodes:
        numbers = ", ".join(str(number) for number in result.skipped_episodes[:_MOST_NUMBERS])
        others = len(result.skipped_episodes) - _MOST_NUMBERS
        more = f" and {others:,} more" if others > 0 else ""
        yield f"skipped  {counted(len(result.skipped_episodes), 'episode')} of SRC: {numbers}{more}; the others got new numbers"
    for path in result.strays[:_MOST_WARNINGS]:
        yield f"ignored  {path} stays in SRC: it belongs to no episode"
    if len(result.strays) > _MOST_WARNINGS:
        yield f"ignored  and {counted(len(result.strays) - _MOST_WARNINGS, 'other file')} without an episode"


_MOST_NUMBERS: Final = 10
_MOST_WARNINGS: Final = 20


def _warning_lines(warnings: tuple[str, ...]) -> Iterator[str]:
    """Yield a line for each of the first warnings, and one more line with the number of remaining warnings, if any remain."""
    for warning in warnings[:_MOST_WARNINGS]:
        yield f"warning  {warning}"
    if len(warnings) > _MOST_WARNINGS:
        yield f"warning  and {len(warnings) - _MOST_WARNINGS:,} more warnings: run `episeek verify` to list all of them"


def done_line(result: "PrepareResult") -> str:
    """Return the last line of a job, with the path or URL of the result and the duration of the run."""
    return f"done     The result is in {result.destination}; this took {result.seconds:.1f} s."


def _copy_lines(copies: "CopySummary", *, is_packed: bool) -> Iterator[str]:
    ways = {"cloned": copies.cloned, "copied": copies.copied, "hard-linked": copies.hard_linked}
    if copies.copied_instead:
        ways[f"copied ({copies.copied_instead:,} because they could not be cloned or linked)"] = ways.pop("copied")
    done = ", ".join(f"{count:,} {way}" for way, count in ways.items() if count) or "none"
    if is_packed:
        yield f"others   {counted(copies.files, 'file')} of the source other than videos: {done}"
    else:
        yield f"videos   {counted(copies.files, 'file')} (the videos and other files of the source): {done}"
    if copies.hard_linked:
        yield "         A tool that writes into a hard-linked file in DST changes the file in SRC as well."
    if copies.is_card_pinned:
        yield "card     README.md in DST now limits data_files to data/*/*.parquet, so readers do not load the sidecars as data"
    for left in copies.left_out:
        size = f"{counted(left.files, 'file')}, {human_bytes(left.size_bytes)}"
        yield f"ignored  {left.folder}/ stays in SRC ({size}): it is no part of a LeRobot dataset"


def _rewrite_line(summary: "RewriteSummary") -> str:
    sizes = f"{human_bytes(summary.source_bytes)} -> {human_bytes(summary.written_bytes)}"
    reused = f", {summary.reused_files} finished by an earlier run" if summary.reused_files else ""
    row_groups = f"{counted(summary.row_groups, 'row group')}, one per episode"
    return f"{counted(summary.source_files, 'data file')} -> {counted(summary.files, 'file')}, {row_groups}, {sizes}{reused}"


def _pack_line(summary: "PackSummary") -> str:
    reused = f", {summary.reused_files} finished by an earlier run" if summary.reused_files else ""
    samples = f"{counted(summary.samples, 'sample')} copied unchanged"
    files = f"{counted(summary.source_files, 'video file')} -> {counted(summary.files, 'file')}"
    return f"{files} of {human_bytes(summary.file_bytes)}, {samples}{reused}"


_NOTHING_TO_INDEX: Final = "no camera is recorded as video, so there is nothing to index"


def _index_line(summary: "IndexSummary") -> str:
    if not summary.files:
        return f"{_NOTHING_TO_INDEX}; sidecars {human_bytes(summary.sidecar_bytes)}"
    read = f"{human_bytes(summary.bytes_read)} of {human_bytes(summary.file_bytes)} read"
    if summary.request_count:
        read += f" in {counted(summary.request_count, 'request')}"
    reused = f", {summary.reused_files} finished by an earlier run" if summary.reused_files else ""
    sidecars = f"sidecars {human_bytes(summary.sidecar_bytes)}"
    unchanged = f", {summary.unchanged_files:,} unchanged" if summary.unchanged_files else ""
    files = f"{counted(summary.files, 'video file')}{unchanged}"
    return f"{files}, {counted(summary.samples, 'sample')}, {read}, {sidecars}{reused}"


def _keyframes_line(summary: "IndexSummary") -> str:
    seen, count = summary.sync_samples_inspected, summary.sync_samples
    others = f"the other {count - seen:,} are keyframes according to the headers"
    return f"{seen:,} of {counted(count, 'keyframe')} were read; {others} (--keyframes all reads all of them)"


def stale_lines(check: "IndexCheck") -> Iterator[str]:
    """Yield a line for each reason why the rows of a video in the sidecars (the video index) are out of date."""
    for stale in check.stale:
        yield f"stale    {stale.reason:<8}  {stale.path}: found {stale.found}; expected {stale.expected}"


def check_line(check: "IndexCheck") -> str:
    """Return the last line of `episeek index --check`: how many videos were compared, how many have changed, and what was read."""
    if not check.file_count and not check.stale:
        return f"check    {check.target}: {_NOTHING_TO_INDEX}"
    files = len({stale.path for stale in check.stale})
    if not check.build_id:
        result = "no readable sidecars: run `episeek index` to write them"
    elif files:
        result = f"{files:,} stale: run `episeek index` to update the sidecars"
    else:
        result = "none stale"
    headers = f"{counted(check.headers_read, 'header')} read, {human_bytes(check.bytes_read)}"
    return f"check    {check.target}: {counted(check.file_count, 'video file')}, {result} ({headers})"


def inspection_lines(inspection: Inspection) -> Iterator[str]:
    """Yield the lines of `episeek inspect`: lines about the dataset and, if its videos are indexed, a table of its cameras."""
    yield f"{inspection.root}  (LeRobot {inspection.codebase_version})"
    seconds = inspection.frames / inspection.fps
    yield (
        f"  episodes  {inspection.episodes:,}: {inspection.frames:,} frames, {seconds:,.1f} s at {inspection.fps:g} fps; "
        f"{inspection.shortest_episode} to {inspection.longest_episode} frames per episode, median {inspection.median_episode:g}"
    )
    data = inspection.data
    per_episode = (
        "one per episode" if 0 < data.row_groups == data.episodes else f"for {counted(data.episodes, 'episode')}"
    )
    part = "" if data.footers_read == data.files else f" in the first {data.footers_read} files"
    row_groups = f"{counted(data.row_groups, 'row group')}{part}, {per_episode}"
    yield f"  data      {counted(data.files, 'file')}, {human_bytes(data.file_bytes)}; {row_groups}"
    if inspection.image_keys:
        yield f"  images    {', '.join(inspection.image_keys)}: pictures in the data files"
    if not inspection.cameras:
        yield "  cameras   none is recorded as video, so there is nothing to index"
    elif inspection.build_id is None:
        yield f"  cameras   {', '.join(inspection.cameras)}"
        yield "  sidecars  none: run `episeek index` or `episeek prepare`"
    if inspection.build_id is None:
        return
    yield f"  sidecars  build {inspection.build_id[:12]}, {human_bytes(inspection.sidecar_bytes)}"
    indexed = (inspection.indexed_episodes, inspection.indexed_frames)
    if indexed != (inspection.episodes, inspection.frames):
        counts = f"{inspection.indexed_episodes:,} episodes, {inspection.indexed_frames:,} frames"
        yield f"            stale: the sidecars contain {counts}; run `episeek index` or `episeek prepare` again"
    if inspection.camera_facts:
        yield ""
        yield from table_lines(
            ["camera", "files", "size", "codec", "picture", "fps", "keyframe every", "bytes/frame", "one random frame"],
            [_camera_row(camera) for camera in inspection.camera_facts],
        )


def _camera_row(camera: CameraSummary) -> list[str]:
    return [
        camera.camera_key,
        str(camera.files),
        human_bytes(camera.file_bytes),
        " ".join(camera.codecs),
        " ".join(camera.sizes),
        " ".join(f"{fps:g}" for fps in camera.fps),
        f"{camera.samples / camera.keyframes:.1f} frames" if camera.keyframes else "-",
        f"{camera.span_bytes / camera.samples:,.0f}" if camera.samples else "-",
        f"{human_bytes(camera.random_frame_bytes)}, {camera.random_frame_samples:.1f} decoded",
    ]
