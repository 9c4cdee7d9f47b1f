"""The longest tests, which `make test` leaves to `make test-all`: those that took 0.55 s of CPU time and more.

`tests/long_tests.txt` has a node id a line. Some tests of this length stay in `make test`: one of each main way through the
project.
Write the list anew with `EPISEEK_WRITE_LONG_TESTS=tests/long_tests.txt make test`, on a machine without other work.
"""

import os
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import pytest

LIST: Final = Path(__file__).parents[1] / "long_tests.txt"
LEAVES_OUT: Final = (
    os.environ.get("EPISEEK_LEAVE_OUT_LONG_TESTS") == "1" and "EPISEEK_WRITE_LONG_TESTS" not in os.environ
)
LEAST_SECONDS: Final = 0.55

STAY: Final = (
    "documents/test_documents.py::test_a_document_runs[README.md]",
    "features/test_exact.py::",
    "pipelines/batch/test_run.py::test_every_way_gives_the_same[threads]",
    "pipelines/cli/test_main.py::test_prepare_verify_inspect_extract",
    "pipelines/cli/test_main.py::test_the_installed_command",
    "pipelines/jobs/test_prepare.py::test_killed_and_started_again_gives_the_same_bytes",
    "pipelines/jobs/test_prepare.py::test_the_result_is_complete_and_verified[av1_multifile]",
    "pipelines/jobs/test_v2.py::test_every_picture_is_the_right_one",
    "pipelines/jobs/test_v2.py::test_items_are_those_of_lerobot",
    "pipelines/publish/hub/test_publish.py::test_publish_and_again_and_what_has_changed",
    "pipelines/publish/overlay/test_arrival.py::test_a_full_dataset_in_an_empty_repository",
    "pipelines/publish/store/test_publish.py::test_publish_again_and_after_a_change",
    "pipelines/publish/test_prepared.py::test_in_one_go",
    "pipelines/test_python_api.py::",
    "pipelines/verify/data/test_feature_scan.py::",
    "pipelines/verify/test_rules.py::test_sample_datasets_give_the_expected_findings[av1_multifile-indexed]",
    "pipelines/video/test_drift.py::test_no_episode_is_shifted_in_silence",
    "repairs/",
    "runtime/test_byte_index.py::",
    "runtime/test_clip_of_datasets.py::test_any_window_is_right",
    "runtime/torch/test_dataset.py::test_a_stateful_loader_continues_where_the_loop_was[2]",
    "runtime/torch/test_fetching.py::test_workers_fetch_each_byte_about_once",
    "runtime/torch/test_sampler.py::",
    "test_action.py::test_a_broken_dataset_and_its_reports",
)
"""Beginnings of the node ids that stay in `make test`."""


def leave_out_long_tests(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Take the listed tests out of `items`, in a run that leaves them out."""
    if not LEAVES_OUT:
        return
    listed = frozenset(LIST.read_text().splitlines())
    left_out = [item for item in items if item.nodeid in listed]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item.nodeid not in listed]


def write_long_tests(reports: Iterable[Any]) -> None:
    """Write the list from the reports of a run, where the environment names a file for it."""
    path = os.environ.get("EPISEEK_WRITE_LONG_TESTS")
    if path is None:
        return
    seconds: defaultdict[str, float] = defaultdict(float)
    for report in reports:
        seconds[report.nodeid] += report.duration
    stay = tuple(f"tests/{beginning}" for beginning in STAY)
    lines = sorted(name for name, total in seconds.items() if total >= LEAST_SECONDS and not name.startswith(stay))
    Path(path).write_text("".join(f"{line}\n" for line in lines))
