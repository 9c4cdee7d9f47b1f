"""Rules on the footer of a data file: ROW019, ROW038, ROW041, and, if the rows are not read, ROW015, ROW018 and EPI012."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np

from episeek_pipelines.parquet.footers import FOOTER_BYTES, MIN_EPISODES_PER_FILE
from episeek_pipelines.verify.data.footer_scan import FooterScan
from episeek_pipelines.verify.findings.checks import DataFile, VerificationContext
from episeek_pipelines.verify.findings.findings import Finding, Location, finding
from episeek_pipelines.verify.findings.observations import ForeignRows, Observations
from episeek_pipelines.verify.rules import (
    EPISODE_ROWS,
    FOOTER_SIZE,
    IMAGES,
    PAGE_INDEX,
    ROW_GROUPS,
    ROW_GROUPS_OF_INDEXED,
)
from episeek_pipelines.verify.rules.rows import LOST_ROWS_REMEDY
from episeek_pipelines.words import counted
from episeek_schemas import lerobot

FOOTER_SLACK = 1.25
"""A footer may exceed its limit by this factor, since `rewrite.plan` estimates footers from a sample of episodes."""


def check_footer_size(context: VerificationContext, file: DataFile, footer: FooterScan) -> Iterator[Finding]:
    """Yield ROW019 for a footer that is larger than `rewrite.plan` allows.

    The limit is the largest of 512 KiB, the average size of a row group, and the space that 100 row groups take in the footer.
    """
    group_count = max(len(footer.group_rows), 1)
    of_episodes = MIN_EPISODES_PER_FILE * (footer.footer_bytes - footer.metadata_bytes) / group_count
    cap = max(FOOTER_BYTES, footer.row_bytes / group_count, of_episodes) * FOOTER_SLACK
    if footer.footer_bytes > cap:
        yield finding(
            FOOTER_SIZE,
            f"a footer of {footer.footer_bytes:,} bytes, {footer.metadata_bytes:,} of them key-value metadata, for "
            f"{group_count:,} row groups",
            f"at most {int(cap):,} bytes",
            Location(file=file.path),
        )


def check_page_index(context: VerificationContext, file: DataFile, footer: FooterScan) -> Iterator[Finding]:
    """Yield ROW038 for a data file without a page index in a dataset that `episeek prepare` wrote."""
    if context.is_prepared and not footer.has_page_index:
        yield finding(
            PAGE_INDEX,
            "column chunks without a page index",
            "an offset index and a column index for each column chunk",
            Location(file=file.path),
        )


def check_images(context: VerificationContext, file: DataFile, footer: FooterScan) -> Iterator[Finding]:
    """Yield ROW041 for each image feature that has rows without bytes. The statistics of the footer count these rows as nulls.

    For a row without bytes, LeRobot would open the row's path, which usually names a file on the machine that recorded the dataset.
    A feature whose paths are URLs is not reported, since `datasets` fetches them.
    """
    for name, spec in context.features.items():
        if not isinstance(spec, Mapping) or spec.get("dtype") != "image":
            continue
        missing = footer.picture_nulls.get(f"{name}.bytes", 0)
        if missing and not footer.has_picture_urls.get(f"{name}.path", False):
            yield finding(
                IMAGES,
                f"{missing} of {counted(footer.row_count, 'row')} without the bytes of a picture",
                "bytes in every row",
                Location(file=file.path, column=name),
            )


FOOTER_RULES = (check_footer_size, check_page_index, check_images)
"""The rules on a footer that apply to every data file, whether its rows are read or not."""


def check_row_count(context: VerificationContext, file: DataFile, footer: FooterScan) -> Iterator[Finding]:
    """Yield ROW015 if the number of rows is wrong and the footer does not show to which episodes the rows belong."""
    if not context.is_complete or footer.is_per_episode or bool((file.length < 0).any()):
        return
    observations = footer_observations(file, footer)
    # EPI012 reports episodes that are in another file than declared.
    if observations.absent_episodes or observations.foreign_rows:
        return
    expected = int(file.length.sum())
    if footer.row_count != expected:
        yield finding(
            EPISODE_ROWS,
            counted(footer.row_count, "row"),
            f"{expected}, the sum of its episodes' lengths",
            Location(file=file.path),
            remedy=LOST_ROWS_REMEDY,
        )


def check_nulls(context: VerificationContext, file: DataFile, footer: FooterScan) -> Iterator[Finding]:
    """Yield ROW015 if the statistics of the footer count nulls in episode_index."""
    if footer.null_count:
        where = Location(file=file.path, column=lerobot.EPISODE_INDEX)
        yield finding(
            EPISODE_ROWS,
            f"{counted(footer.null_count, 'row')} with a null episode_index",
            "only rows of listed episodes",
            where,
        )


def check_collapsed(context: VerificationContext, file: DataFile, footer: FooterScan) -> Iterator[Finding]:
    """Yield ROW018 or ROW018W if the footer shows that a row group contains rows of several episodes."""
    if footer.lowest_episode is None or footer.highest_episode is None or footer.is_per_episode:
        return
    if not (context.has_promised_row_groups or context.has_sidecars):
        return
    wrong = np.flatnonzero(footer.lowest_episode != footer.highest_episode)
    group = int(wrong[0])
    held = f"episodes {footer.lowest_episode[group]} to {footer.highest_episode[group]}"
    where = Location(file=file.path, row=int(footer.group_starts[group]))
    rule = ROW_GROUPS if context.has_promised_row_groups else ROW_GROUPS_OF_INDEXED
    yield finding(
        rule,
        f"row group {group} of {len(footer.group_rows)} contains {held}",
        "one episode",
        where,
        more=len(wrong) - 1,
    )


BOUND_RULES = (check_row_count, check_nulls, check_collapsed)
"""The rules for files whose rows are not read and whose footer does not assign the rows to episodes."""


def footer_observations(file: DataFile, footer: FooterScan) -> Observations:
    """Return the episodes that are certainly missing from a file, and the undeclared episodes that are certainly in it.

    The footer gives only the lowest and the highest episode of each row group. A declared episode is certainly missing if it is
    outside this range in every row group. The lowest and the highest episodes are certainly in the file. They are undeclared unless
    meta/episodes declares them in this file.
    """
    of_groups = Observations(
        row_group_count=len(footer.group_rows), collapsed_file_count=int(not footer.is_per_episode)
    )
    if footer.lowest_episode is None or footer.highest_episode is None:
        return of_groups
    low, high = footer.lowest_episode, footer.highest_episode
    absent = [
        (episode, file.path)
        for episode in file.episode_index.tolist()
        if not bool(((low <= episode) & (episode <= high)).any())
    ]
    foreign = np.setdiff1d(np.concatenate([low, high]), file.episode_index)
    rows = tuple(ForeignRows(episode, file.path, None, None) for episode in foreign.tolist())
    return replace(of_groups, absent_episodes=tuple(absent), foreign_rows=rows)
