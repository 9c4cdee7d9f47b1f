"""Updated cards, and checks that hold for every one of them."""

import re

import yaml
from huggingface_hub import DatasetCard

from episeek_pipelines.publish.card.section import BEGIN, END, DatasetFigures, updated_card
from episeek_pipelines.verify.metadata.card_rules import check_card
from tests.support.sample_cards import FILES

FIGURES = DatasetFigures(episode_count=10, frame_count=1376, camera_count=2, fps=30.0, sidecar_bytes=40_600)
PINNED = [{"config_name": "default", "data_files": "data/*/*.parquet"}]
BOTH_TAGS = ["LeRobot", "episeek"]
TAGS = "tags:\n- LeRobot\n- episeek\n"


def update(card: str | None, *, repository_id: str = "org/name", figures: DatasetFigures = FIGURES) -> str:
    """Return the updated card; another update does not change it, and no rule has a finding in it."""
    result = updated_card(card, repository_id=repository_id, format_version=1, figures=figures)
    again = updated_card(result, repository_id=repository_id, format_version=1, figures=figures)
    assert again == result
    assert not list(check_card(result, FILES, is_published=True, has_sidecars=True))
    return result


def front(lines: str, text: str = "\ntext\n") -> str:
    return f"---\n{lines}---\n{text}"


def changed(lines: str, newline: str = "\n") -> str:
    """Return the front matter of the updated card, without the lines ---."""
    result = update(front(lines).replace("\n", newline))
    match = re.fullmatch(r"---\r?\n(.*?)---\r?\n(.*)", result, re.DOTALL)
    assert match is not None
    assert match[2].startswith("\ntext\n".replace("\n", newline))
    return match[1]


def metadata(card: str) -> dict:
    """Return the values of the front matter as huggingface_hub reads it."""
    DatasetCard(card)
    match = re.search(r"\A(\s*---(?:\r\n|\r|\n))([\S\s]*?)((?:\r\n|\r|\n)---[ \t]*(\r\n|\n|$))", card)
    return (yaml.safe_load(match[2]) or {}) if match is not None else {}


def section(card: str) -> str:
    return card[card.index(BEGIN) : card.index(END) + len(END)]
