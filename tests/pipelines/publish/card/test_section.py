"""The section of a card: its place, its text, and that its Python runs."""

import re

import pytest

import episeek
from episeek_pipelines.publish.card.section import DatasetFigures
from tests.support.sample_cards import LEROBOT
from tests.support.updated_cards import section, update


def test_the_section_is_replaced_where_it_is():
    first = update(LEROBOT)
    moved = first.replace(section(first), "").rstrip() + "\n"
    moved = moved.replace("## Dataset Description", f"before {section(first)} behind\n\n## Dataset Description")
    result = update(moved, figures=DatasetFigures(1, 1, 1, 29.97, 999))
    new = section(result)
    assert new != section(first)
    assert result == moved.replace(section(first), new)
    assert "- 1 episode, 1 frame at 29.97 fps, 1 camera\n" in new


def test_what_the_section_says():
    text = section(update(LEROBOT))
    assert "- 10 episodes, 1,376 frames at 30 fps, 2 cameras\n" in text
    assert "[`meta/byte_index/`](meta/byte_index), format version 1, 40.6 kB\n" in text
    assert "pip install 'episeek[hub]'\n" in text
    assert 'episeek.open("hf://datasets/org/name")\n' in text


@pytest.mark.parametrize("camera_count", [2, 0])
def test_the_python_of_the_section_runs(camera_count, indexes, monkeypatch):
    figures = DatasetFigures(10, 376, camera_count, 30, 40_600)
    code = re.search(r"```python\n(.*?)```", update(None, figures=figures), re.DOTALL)
    assert code is not None
    opened = []

    def open_local(url: str) -> episeek.ByteIndex:
        opened.append(url)
        return indexes["av1_multifile"]

    monkeypatch.setattr(episeek, "open", open_local)
    names: dict = {}
    exec(code[1], names)
    assert opened == ["hf://datasets/org/name"]
    if camera_count:
        assert names["mp4"][4:8] == b"ftyp"
        assert names["frames"].data.shape[0] == 1
