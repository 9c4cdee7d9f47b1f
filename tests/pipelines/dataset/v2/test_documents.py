"""Every line of the documents that cannot be right is named, with its place."""

import json

import pytest

from episeek.errors import MetadataError
from episeek_pipelines.dataset.metadata import open_dataset
from tests.support.old_dataset import (
    EPISODES,
    STATISTICS,
    TASKS,
    as_version_2_0,
    copy_old,
    edit_info,
    edit_lines,
)

TOP = "observation.images.top"


def append(path, text):
    return lambda root: (root / path).write_text((root / path).read_text() + text)


def edit(path, change):
    return lambda root: edit_lines(root, path, change)


FAULTS = {
    "broken line": (append(EPISODES, '{"episode_index": 7,\n'), f"{EPISODES}, line 8", "one JSON object"),
    "list for an object": (append(EPISODES, "[1]\n"), f"{EPISODES}, line 8", "list"),
    "gap": (edit(EPISODES, lambda found: found.pop(3)), f"{EPISODES}, line 4", "episode 4 after episode 2"),
    "first missing": (edit(EPISODES, lambda found: found.pop(0)), f"{EPISODES}, line 1", "episode 1 as the first"),
    "twice": (edit(EPISODES, lambda found: found.append(found[2])), f"{EPISODES}, line 8", "also in line 3"),
    "null length": (edit(EPISODES, lambda found: found[1].update(length=None)), f"{EPISODES}, line 2", "length: null"),
    "no frames": (edit(EPISODES, lambda found: found[1].update(length=0)), f"{EPISODES}, line 2", "1 or more frames"),
    "no number": (edit(EPISODES, lambda found: found[5].pop("episode_index")), f"{EPISODES}, line 6", "null"),
    "unknown task": (
        edit(EPISODES, lambda found: found[4].update(tasks=["fold it"])),
        f"{EPISODES}, line 5",
        "task 'fold it'",
    ),
    "no tasks": (edit(EPISODES, lambda found: found[4].update(tasks=None)), f"{EPISODES}, line 5", "tasks: null"),
    "task twice": (edit(TASKS, lambda found: found[2].update(task="pick the cube")), f"{TASKS}, line 3", "in line 1"),
    "task number twice": (edit(TASKS, lambda found: found[2].update(task_index=1)), f"{TASKS}, line 3", "in line 2"),
    "gap in tasks": (edit(TASKS, lambda found: found[2].update(task_index=5)), f"{TASKS}, line 3", "task_index 5"),
    "null task": (edit(TASKS, lambda found: found[1].update(task=None)), f"{TASKS}, line 2", "task: null"),
    "no episodes_stats": (lambda root: (root / STATISTICS).unlink(), STATISTICS, "no such file"),
    "no statistics of one": (edit(STATISTICS, lambda found: found.pop(6)), STATISTICS, "no statistics of episode 6"),
    "statistics of no episode": (
        edit(STATISTICS, lambda found: found.append({**found[0], "episode_index": 9})),
        f"{STATISTICS}, line 8",
        "statistics of episode 9",
    ),
    "no maximum": (
        edit(STATISTICS, lambda found: found[3]["stats"]["action"].pop("max")),
        f"{STATISTICS}, line 4",
        "stats.action: no numeric max",
    ),
    "another shape": (
        edit(STATISTICS, lambda found: found[3]["stats"]["action"].update(min=[0.0])),
        f"{STATISTICS}, line 4",
        "min of shape [1]",
    ),
    "null names": (
        lambda root: edit_info(root, lambda info: info["features"][TOP].update(names=None)),
        "meta/info.json",
        f"features.{TOP}: null as names of the dimensions of pictures",
    ),
    "template": (
        lambda root: edit_info(root, lambda info: info.update(data_path="data/{episode_index}.parquet")),
        "meta/info.json",
        "{episode_chunk}, {episode_index}",
    ),
    "pointer": (
        lambda root: (root / EPISODES).write_text("version https://git-lfs.github.com/spec/v1\n"),
        EPISODES,
        "Git LFS pointer",
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_document_that_cannot_be_right_is_refused_by_its_line(name, tmp_path):
    change, place, words = FAULTS[name]
    root = copy_old(tmp_path / "old")
    open_dataset(str(root)).require_sound_documents()
    change(root)
    with pytest.raises(MetadataError) as refusal:
        open_dataset(str(root)).require_sound_documents()
    assert refusal.value.where == f"{root}/{place}"
    assert words in str(refusal.value)


def test_problems_that_leave_the_files_known_do_not_keep_a_dataset_closed(tmp_path):
    root = copy_old(tmp_path / "old")
    (root / STATISTICS).unlink()
    edit_lines(root, TASKS, lambda found: found.pop())
    assert len(open_dataset(str(root)).episodes) == 7


def test_lines_in_any_order_are_read_in_the_order_of_their_numbers(tmp_path):
    root = copy_old(tmp_path / "old")
    edit_lines(root, EPISODES, lambda found: found.reverse())
    dataset = open_dataset(str(root))
    dataset.require_sound_documents()
    assert dataset.episodes.length.tolist() == [42, 20, 40, 40, 21, 31, 31]


def test_version_2_0_has_statistics_of_the_whole(tmp_path):
    root = as_version_2_0(copy_old(tmp_path / "old"))
    dataset = open_dataset(str(root))
    dataset.require_sound_documents()
    assert dataset.found_version == "v2.0"
    assert json.loads(dataset.root.read_bytes("meta/stats.json"))["action"]["count"] == [225]
    (root / "meta/stats.json").unlink()
    with pytest.raises(MetadataError, match=r"as version 2\.0 has them"):
        open_dataset(str(root)).require_sound_documents()
