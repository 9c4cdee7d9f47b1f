"""Generated cards: all text but the two keys stays, and `datasets` takes the data and nothing else."""

import re
from itertools import chain
from pathlib import Path

import datasets
import pytest
from datasets.data_files import DataFilesDict, sanitize_patterns
from datasets.utils.metadata import MetadataConfigs
from huggingface_hub import DatasetCard
from hypothesis import example, given, settings
from hypothesis import strategies as st

from episeek_pipelines.publish.card.section import BEGIN, END, UnusableCardError
from tests.support.amount import examples
from tests.support.sample_cards import DATA, FILES, LEROBOT
from tests.support.updated_cards import BOTH_TAGS, front, metadata, update


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("tree")
    for path in FILES:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).touch()
    return root


def taken(root: Path, card: str) -> set[str]:
    """Return the files that `datasets` takes as the default config, without loading them."""
    configs = MetadataConfigs.from_dataset_card_data(DatasetCard(card).data)
    config = configs[configs.get_default_config_name()]
    base = root / (config.get("data_dir") or "")
    patterns = sanitize_patterns(config["data_files"] or "**") if "data_files" in config else {"train": ["**"]}
    resolved = DataFilesDict.from_patterns(patterns, base_path=str(base), allowed_extensions=[".parquet"])
    return {Path(path).relative_to(root).as_posix() for path in chain.from_iterable(resolved.values())}


@pytest.mark.parametrize("card", [None, LEROBOT, front("configs:\n- config_name: a\n  data_files: '**'\n")])
def test_datasets_takes_the_data(tree, tmp_path, card):
    result = update(card)
    for path in (path for path in FILES if path.endswith(".parquet")):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    (tmp_path / "README.md").write_bytes(result.encode())
    builder = datasets.load_dataset_builder(str(tmp_path), cache_dir=str(tmp_path / "cache"))
    files = {
        Path(path).relative_to(tmp_path).as_posix() for path in chain.from_iterable(builder.config.data_files.values())
    }
    assert files == set(DATA) == taken(tree, result)


COMMENT = st.sampled_from(["", "", " # a comment: [x, 'y"])
LINE = st.sampled_from(["", "", "# a comment\n", "\n", "   # another: - {\n"])
OTHERS = st.sampled_from(
    [
        "license: apache-2.0",
        "task_categories:\n- robotics",
        "language: [en, 'fr' ]",
        "pretty_name: 'It''s: a # name'",
        'quoted: "tags: [a]\\n\\u00e9"',
        "description: |\n  tags:\n  - no\n\n  more",
        "kept: |+\n  a\n\n",
        "stripped: >-\n  configs: []\n  folded",
        "anchor: &a0 [x, &b0 y]\nalias: *a0",
        "dataset_info:\n  features:\n  - name: configs\n    dtype: float32\n  - {name: tags, dtype: string}",
        "nothing:",
        "nil: ~",
        "hex: 0x1F",
        "emoji: 🤖 é",
        "merged:\n  <<: {a: 1}\n  b: 2",
        "plain: a\n  b\n   c",
        "when: 2024-01-01",
    ]
)
MULTILINE = ("description:", "kept:")
"""Texts that would gain a line end by a key after them, so that such a card is refused."""

TAG = st.sampled_from(["robotics", "LeRobot", "lerobot", "'episeek'", '"a, b"', "12", "so-100", "&t0 x", "~"])


@st.composite
def tags_lines(draw) -> str:
    tags = draw(st.lists(TAG, max_size=4, unique=True))
    form = draw(st.sampled_from(["flow", "block", "indented", "scalar", "none", "absent"]))
    if form == "absent":
        return ""
    if form == "flow":
        comma = draw(st.sampled_from(["", ",", " ", " , "])) if tags else ""
        return f"tags: [{', '.join(tags)}{comma}]"
    if form == "none" or not tags:
        return "tags:" + draw(st.sampled_from(["", " null", " ~", " []"]))
    if form == "scalar":
        return f"tags: {tags[0]}"
    indent = "   " if form == "indented" else ""
    return "tags:\n" + "\n".join(f"{indent}- {tag}{draw(COMMENT)}\n{draw(LINE)}".rstrip("\n") for tag in tags)


DATA_GLOB = st.sampled_from(["data/*/*.parquet", '"data/**"', "data/chunk-000/*"])
GLOB = DATA_GLOB | st.sampled_from(['"**"', "'**/*.parquet'", "'*/*/*.parquet'"])


@st.composite
def data_files(draw, indent: str) -> str:
    glob = draw(GLOB)
    return draw(
        st.sampled_from(
            [
                "",
                f"\n{indent}data_files: {glob}",
                f"\n{indent}data_files: [{glob}]",
                f"\n{indent}data_files: [{glob}, {draw(GLOB)}]",
                f"\n{indent}data_files: [{{split: train, path: {draw(DATA_GLOB)}}}]",
                f"\n{indent}data_files:\n{indent}- {glob}{draw(COMMENT)}\n{indent}- {draw(GLOB)}{draw(COMMENT)}",
                f"\n{indent}data_files:\n{indent}- split: train\n{indent}  path: {draw(DATA_GLOB)}{draw(COMMENT)}",
                f"\n{indent}data_files:",
            ]
        )
    )


@st.composite
def configs_lines(draw) -> str:
    names = draw(st.lists(st.sampled_from(["default", "'a'", "b", "episodes"]), max_size=3, unique=True))
    form = draw(st.sampled_from(["block", "indented", "flow", "absent"]))
    if form == "absent" or not names:
        return "" if form == "absent" else "configs:" + draw(st.sampled_from(["", " []", " null"]))
    default = None if "default" in names else draw(st.sampled_from(names))
    if form == "flow":
        items = [
            f"{{config_name: {n}{', default: true' if n == default else ''}{draw(st.sampled_from(['', ', ']))}}}"
            for n in names
        ]
        return f"configs: [{', '.join(items)}]"
    dash = "  - " if form == "indented" else "- "
    indent = " " * len(dash)
    lines = []
    for name in names:
        more = draw(st.permutations([draw(data_files(indent)), f"\n{indent}default: true" if name == default else ""]))
        lines.append(f"{dash}config_name: {name}{draw(COMMENT)}{''.join(more)}{draw(COMMENT)}")
    return "configs:\n" + "\n".join(lines)


@st.composite
def cards(draw) -> tuple[str, list[str]]:
    """Draw a card, and the parts of its front matter that must not change."""
    text = draw(st.sampled_from(["", "\n", "# Title", "\n# Title\n\ntext\n", "text\n---\nmore: [\n", "\n\ufeff  \n\n"]))
    if draw(st.booleans()):
        text += f"before{BEGIN}\nold\n{END}{draw(st.sampled_from(['', ' behind', chr(10)]))}"
    if draw(st.integers(0, 9)):
        others = draw(st.lists(OTHERS, max_size=5, unique=True))
        parts = draw(st.permutations([part for part in (*others, draw(tags_lines()), draw(configs_lines())) if part]))
        if parts and parts[-1].startswith(MULTILINE):
            parts = [*parts, "last: 1"]
        lines = "".join(f"{draw(LINE)}{part}\n" for part in parts)
        close = "---" if not text else draw(st.sampled_from(["---\n", "---  \n"]))
        text = f"---\n{lines}{draw(LINE)}{close}{text}"
    else:
        others = []
    newline = draw(st.sampled_from(["\n", "\n", "\r\n"]))
    return text.replace("\n", newline), [other.replace("\n", newline) + newline for other in others]


def without_section(card: str) -> tuple[str, str]:
    """Return the text before and after the section, without the front matter."""
    match = re.match(r"\A---(?:\r\n|\n)(?:.*?(?:\n))?---[ \t]*(?:\r\n|\n|\Z)", card, re.DOTALL)
    text = card[match.end() :] if match is not None else card
    before, begin, rest = text.partition(BEGIN)
    return before, rest.partition(END)[2] if begin else ""


def kept(card: str) -> dict:
    """Return the values that must not change."""
    values = metadata(card)
    values.pop("tags", None)
    configs = values.pop("configs", None) or []
    names = [{k: v for k, v in config.items() if k != "data_files"} for config in configs]
    return {**values, "configs": names or [{"config_name": "default"}]}


def values_of(tags: object) -> list:
    return [] if tags is None else list(tags) if isinstance(tags, list) else [tags]


@settings(max_examples=examples(100), deadline=None)
@given(generated=cards())
def test_any_card(tree, generated):
    card, verbatim = generated
    result = update(card)
    before, after = metadata(card), metadata(result)
    assert kept(result) == kept(card)
    assert [key for key in after if key in before] == list(before)
    assert all(part in result for part in verbatim)
    tags, old = values_of(after["tags"]), values_of(before.get("tags"))
    gained = [tag for tag in BOTH_TAGS if tag.lower() not in [str(value).lower() for value in old]]
    assert tags == old + gained
    assert taken(tree, result) <= set(DATA)
    assert taken(tree, result)
    (head, tail), (new_head, new_tail) = without_section(card), without_section(result)
    if BEGIN in card:
        assert (new_head, new_tail) == (head, tail)
    else:
        assert new_head.startswith(head)
        assert new_head.removeprefix(head).strip() == ""
        assert new_tail.strip() == ""
        assert result.endswith("\n") == (card.endswith("\n") or not card)
    if "\r\n" in card:
        assert not re.search(r"(?<!\r)\n", result)


@settings(deadline=None)
@example(card=" !", lines=False)  # a tag without a value, which a comma behind it becomes part of
@example(card="\n?", lines=False)  # a key that is no text, of which huggingface_hub makes no card
@example(card="\n!!set {a, b}\n", lines=True)  # mappings that load as something else
@example(card=" !!set {a}", lines=False)
@example(card="\n- !!set {config_name: a}", lines=False)
@example(card=" !!omap [config_name: a]", lines=False)
@example(card=" !!str {=: a}", lines=False)
@example(card="\n- {config_name: a, !!str {=: b}: c}", lines=False)
@given(card=st.text(alphabet="-ab: \n\r\t[]{}&*#|>'\"!?,%~.<", max_size=60), lines=st.booleans())
def test_hostile_cards(card, lines):
    for text in (
        front(card + "\n") if lines else f"---\n{card}",
        f"---\ntags:{card}\n---\n",
        f"---\nconfigs:{card}\n---\n",
        card,
    ):
        try:
            result = update(text)
        except UnusableCardError:
            continue  # and nothing else is raised
        assert kept(result) == kept(text)
