"""Where meta/episodes cannot be read, the data files and videos are looked at as far as they can be."""

import shutil

from episeek_pipelines.dataset.root import Root
from episeek_pipelines.verify import verify
from episeek_pipelines.verify.findings.options import VerifyOptions
from tests.broken.metadata import leave_info_alone
from tests.support.broken_datasets import EPISODES, TOP, data, truncate, video


def verified(root, level="rows"):
    return verify(Root(str(root)), options=VerifyOptions(level=level))


def errors(report):
    return sorted((found.code, found.location.file) for found in report.findings if found.severity == "error")


def test_files_of_unreadable_episodes_are_opened(dataset):
    truncate(dataset, EPISODES, 1000)
    report = verified(dataset)
    assert errors(report) == [("EPI005", EPISODES)]
    assert (report.data_file_count, report.video_file_count) == (3, 12)
    assert {"Parquet footers", "video headers", "rows"} <= {*report.coverage.checked}
    assert [part.subject for part in report.coverage.not_checked if "no readable file" in part.reason] == [
        "episodes, with their rows and frames"
    ]
    truncate(dataset, data(1), 500)
    truncate(dataset, video(TOP, 2), 3000)
    found = [("EPI005", EPISODES), ("ROW005", data(1)), ("VID022", video(TOP, 2))]
    assert errors(verified(dataset)) == found
    shutil.rmtree(dataset / "meta/episodes")
    assert errors(verified(dataset)) == [("EPI005", "meta/episodes"), *found[1:]]


def test_sidecars_of_unreadable_episodes_are_not_accused(dataset):
    from episeek_pipelines.jobs.index import index

    index(str(dataset))
    truncate(dataset, EPISODES, 1000)
    assert errors(verified(dataset)) == [("EPI005", EPISODES)]


def test_a_dataset_without_episodes_is_no_dataset(dataset):
    """What LeRobot's edits leave where they are stopped; LeRobot does not open it."""
    leave_info_alone(dataset)
    for level in ("meta", "rows"):
        assert errors(verified(dataset, level)) == [("INF044", "meta/info.json")]
