"""Show the changes of `episeek verify --fix` as lines of text."""

from collections.abc import Iterator

from episeek_pipelines.api import Action, FixResult, PageIndexCounts, RebuildSidecars


def result_lines(result: FixResult) -> Iterator[str]:
    """Yield the lines that show the changes of `--fix` like a unified diff.

    Unless the run was a dry run, each change is followed by a line with its result.
    """
    done = {done.action.path: done.result for done in result.done}
    reasons = {unfixed.path: unfixed.reason for unfixed in result.unfixed if unfixed.path is not None}
    for action in result.plan.actions:
        yield from _diff_of(action)
        if action.path in done:
            yield f"done: {done[action.path]}"
        elif not result.is_dry_run:
            yield f"unfixed: {reasons.get(action.path)}"


def _diff_of(action: Action) -> Iterator[str]:
    """Yield the lines that show the state of one file before (-) and after (+) its change."""
    yield f"--- {action.path}"
    yield f"+++ {action.path}"
    if isinstance(action, RebuildSidecars):
        build = f"build {action.build_id[:12]}" if action.build_id else "no readable build"
        yield f"-sidecars: {build}"
        yield from (f"-stale: {line}" for line in action.stale)
        yield f"+sidecars: {action.summary}"
        return
    before = action.before
    if not before.is_one_per_episode:
        yield f"-row groups: {before.row_group_count:,}, with {before.row_count:,} rows together"
        yield f"+row groups: {before.episode_count:,}, one per episode"
    if before.episode_count > action.max_episodes_per_file:
        yield (
            f"+footer: covers more than the {action.max_episodes_per_file:,} episodes that `episeek prepare` puts in one file"
        )
    if not before.page_index.is_whole:
        yield f"-page index: {_page_index(before.page_index)}"
        yield "+page index: offsets and columns"


def _page_index(counts: PageIndexCounts) -> str:
    if counts.offset_index_count == counts.column_chunk_count:
        return "offsets"
    if counts.offset_index_count:
        return f"for {counts.offset_index_count:,} of {counts.column_chunk_count:,} column chunks"
    return "none"
