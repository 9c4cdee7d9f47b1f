"""Updated cards: their text stays, and the additions are made once."""

import re

import pytest
from huggingface_hub import DatasetCard

from episeek_pipelines.publish.card.section import UnusableCardError, decoded_card
from tests.support.sample_cards import HINTS, LEROBOT
from tests.support.updated_cards import BOTH_TAGS, PINNED, metadata, section, update

WITH_HINTS = f"""---
{HINTS}# prettier-ignore
license: mit
---

text
"""


def test_the_card_that_lerobot_writes():
    result = update(LEROBOT)
    expected = LEROBOT.replace("- LeRobot\n", "- LeRobot\n- episeek\n", 1)
    assert result == f"{expected}\n\n{section(result)}"  # no line end at its end, as before


def test_the_hints_of_lerobots_template_stay():
    result = update(WITH_HINTS)
    added = "tags:\n- LeRobot\n- episeek\nconfigs:\n- config_name: default\n  data_files: data/*/*.parquet\n"
    assert result == WITH_HINTS.replace("license: mit\n", f"license: mit\n{added}") + f"\n{section(result)}\n"


def test_no_card():
    result = update(None)
    assert result.startswith(
        "---\ntags:\n- LeRobot\n- episeek\nconfigs:\n- config_name: default\n  data_files: data/*/*.parquet\n---\n\n# name\n\n<!--"
    )
    assert result.endswith("-->\n")


@pytest.mark.parametrize(
    "card", ["", "# Title", "# Title\n", "\r\nText\r\n", "----\nnot a front matter\n", "\ufeff# Title\n"]
)
def test_a_card_without_front_matter(card):
    result = update(card)
    assert metadata(result) == {"tags": BOTH_TAGS, "configs": PINNED}
    assert DatasetCard(result).text.startswith(card)
    assert ("\r\n" in result) == ("\r\n" in card) == (not re.search(r"(?<!\r)\n", result))


@pytest.mark.parametrize(
    ("card", "start"),
    [
        ("---\n---\n", "---\n"),
        ("---\n---", "---\n"),
        ("---\n\n---\ntext", "---\n\n"),
        ("---\n# a comment\n---\n", "---\n# a comment\n"),
        ("\n\n---\n---\n", "\n\n---\n"),
        ("---\n---\ntext\n\n---\nmore\n", "---\n"),
    ],
)
def test_an_empty_front_matter(card, start):
    result = update(card)
    added = "tags:\n- LeRobot\n- episeek\nconfigs:\n- config_name: default\n  data_files: data/*/*.parquet\n"
    assert result.startswith(f"{start}{added}---")
    assert result.startswith(start + added + card[len(start) :])


def test_front_matter_alone():
    result = update("---\nlicense: mit\n---\n")
    assert result.endswith(f"---\n\n{section(result)}\n")
    result = update("---\nlicense: mit\n---")
    assert result.endswith(f"---\n\n{section(result)}")


def test_windows_line_ends():
    result = update(LEROBOT.replace("\n", "\r\n"))
    assert result == update(LEROBOT).replace("\n", "\r\n")
    assert update(WITH_HINTS.replace("\n", "\r\n")) == update(WITH_HINTS).replace("\n", "\r\n")


def test_bytes():
    assert decoded_card("é\r\n".encode(), repository_id="a/b") == "é\r\n"
    with pytest.raises(UnusableCardError, match=r"README\.md of a/b, line 2: found byte 0xff; expected UTF-8"):
        decoded_card(b"a\n\xff", repository_id="a/b")
