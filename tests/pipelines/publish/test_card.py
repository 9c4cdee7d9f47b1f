import pickle
import re
from itertools import chain
from pathlib import Path

import datasets
import pytest
import yaml
from datasets.data_files import DataFilesDict, sanitize_patterns
from datasets.utils.metadata import MetadataConfigs
from huggingface_hub import DatasetCard
from hypothesis import example, given, settings
from hypothesis import strategies as st

import episeek
from episeek_pipelines.publish.card import BEGIN, END, CardFacts, UnusableCardError, decoded_card, updated_card
from episeek_pipelines.verify.card_rules import check_card

DATA = ("data/chunk-000/file-000.parquet", "data/chunk-000/file-001.parquet", "data/chunk-001/file-000.parquet")
META = ("meta/episodes/chunk-000/file-000.parquet", "meta/tasks.parquet")
SIDECARS = tuple(f"meta/byte_index/{name}.parquet" for name in ("files", "episodes", "keyframes", "samples"))
FILES = (*DATA, *META, *SIDECARS, "meta/info.json", "videos/top/chunk-000/file-000.mp4", "README.md")

FACTS = CardFacts(episode_count=10, frame_count=1376, camera_count=2, fps=30.0, sidecar_bytes=40_600)
PINNED = [{"config_name": "default", "data_files": "data/*/*.parquet"}]
BOTH_TAGS = ["LeRobot", "episeek"]

LEROBOT = """---
license: apache-2.0
task_categories:
- robotics
tags:
- LeRobot
configs:
- config_name: default
  data_files: data/*/*.parquet
---

This dataset was created using [LeRobot](https://github.com/huggingface/lerobot).

<a class="flex" href="https://huggingface.co/spaces/lerobot/visualize_dataset?path=org/name">
<img class="block dark:hidden" src="https://huggingface.co/datasets/huggingface/badges/resolve/main/visualize-this-dataset-xl.svg"/>
</a>

## Dataset Description



- **Homepage:** [More Information Needed]

## Citation

**BibTeX:**

```bibtex
[More Information Needed]
```"""

WITH_HINTS = """---
# For reference on dataset card metadata, see the spec: https://github.com/huggingface/hub-docs/blob/main/datasetcard.md?plain=1
# Doc / guide: https://huggingface.co/docs/hub/datasets-cards
# prettier-ignore
license: mit
---

text
"""


def update(card: str | None, *, repository_id: str = "org/name", facts: CardFacts = FACTS) -> str:
    """The updated card, with all that is true of each."""
    result = updated_card(card, repository_id=repository_id, format_version=1, facts=facts)
    again = updated_card(result, repository_id=repository_id, format_version=1, facts=facts)
    assert again == result
    assert not list(check_card(result, FILES, is_published=True, has_sidecars=True))
    return result


def front(lines: str, text: str = "\ntext\n") -> str:
    return f"---\n{lines}---\n{text}"


def changed(lines: str, newline: str = "\n") -> str:
    """The front matter of the updated card, without the lines around it."""
    result = update(front(lines).replace("\n", newline))
    match = re.fullmatch(r"---\r?\n(.*?)---\r?\n(.*)", result, re.DOTALL)
    assert match is not None
    assert match[2].startswith("\ntext\n".replace("\n", newline))
    return match[1]


def metadata(card: str) -> dict:
    """The front matter as huggingface_hub reads it."""
    DatasetCard(card)
    match = re.search(r"\A(\s*---(?:\r\n|\r|\n))([\S\s]*?)((?:\r\n|\r|\n)---[ \t]*(\r\n|\n|$))", card)
    return (yaml.safe_load(match[2]) or {}) if match is not None else {}


def section(card: str) -> str:
    return card[card.index(BEGIN) : card.index(END) + len(END)]


# --- What comes of a card --------------------------------------------------------------------------------------------


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


PIN = "configs:\n- config_name: default\n  data_files: data/*/*.parquet\n"


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ("tags: [a, b]\n", "tags: [a, b, LeRobot, episeek]\n"),
        ("tags: [a, b, ] # c\n", "tags: [a, b, LeRobot, episeek ] # c\n"),
        ("tags: [\n  a, # c\n  b # d\n  ]\n", "tags: [\n  a, # c\n  b, LeRobot, episeek # d\n  ]\n"),
        ("tags: []\n", "tags: [LeRobot, episeek]\n"),
        ("tags: a # c\n", "tags: [a, LeRobot, episeek] # c\n"),
        ("tags: 'a'\n", "tags: ['a', LeRobot, episeek]\n"),
        ("tags: it's, that\n", "tags: ['it''s, that', LeRobot, episeek]\n"),
        ("tags: lerobot\n", "tags: [lerobot, episeek]\n"),
        ("tags: # none\n", "tags: [LeRobot, episeek] # none\n"),
        ("tags: ~\n", "tags: [LeRobot, episeek]\n"),
        ("tags: null # c\n", "tags: [LeRobot, episeek] # c\n"),
        ("tags:\n- a # c\n\n# d\n", "tags:\n- a # c\n- LeRobot\n- episeek\n\n# d\n"),
        ("tags:\n    - lerobot\n    # c\n", "tags:\n    - lerobot\n    - episeek\n    # c\n"),
        ('tags:\n  - "EpiSeek"\n', 'tags:\n  - "EpiSeek"\n  - LeRobot\n'),
        ("tags:\n- |\n  a\n", "tags:\n- LeRobot\n- episeek\n- |\n  a\n"),
        ("x: &x a\ntags: *x\n", "x: &x a\ntags: [*x, LeRobot, episeek]\n"),
        ("x: &x lerobot\ntags: [*x]\n", "x: &x lerobot\ntags: [*x, episeek]\n"),
        ("tags: &x\n- a\n", "tags: &x\n- a\n- LeRobot\n- episeek\n"),
        ("tags: [&x a, b]\ny: *x\n", "tags: [&x a, b, LeRobot, episeek]\ny: *x\n"),
        ("x: &x\n- episeek\n- lerobot\ntags: *x\n", "x: &x\n- episeek\n- lerobot\ntags: *x\n"),
        ("? tags\n: [a]\n", "? tags\n: [a, LeRobot, episeek]\n"),
        ("'tags':\n- a\n- ''\n", "'tags':\n- a\n- ''\n- LeRobot\n- episeek\n"),
    ],
)
def test_tags(tags, expected):
    assert changed(tags + PIN) == expected + PIN
    assert changed(PIN + tags) == PIN + expected
    assert changed(tags + PIN, "\r\n") == (expected + PIN).replace("\n", "\r\n")


TAGS = "tags:\n- LeRobot\n- episeek\n"


@pytest.mark.parametrize(
    ("configs", "expected"),
    [
        ("", PIN),
        ("configs: []\n", "configs: [{config_name: default, data_files: data/*/*.parquet}]\n"),
        ("configs:\n", "configs: [{config_name: default, data_files: data/*/*.parquet}]\n"),
        ("configs: null # c\n", "configs: [{config_name: default, data_files: data/*/*.parquet}] # c\n"),
        (
            "configs:\n- config_name: default # c\n# d\n",
            "configs:\n- config_name: default # c\n  data_files: data/*/*.parquet\n# d\n",
        ),
        (
            "configs:\n  -   config_name: 'default'\n      features: {}\n",
            "configs:\n  -   config_name: 'default'\n      features: {}\n      data_files: data/*/*.parquet\n",
        ),
        ("configs: [{config_name: default}]\n", "configs: [{config_name: default, data_files: data/*/*.parquet}]\n"),
        (
            "configs:\n- config_name: a\n  data_files: \n",
            "configs:\n- config_name: a\n  data_files: data/*/*.parquet \n",
        ),
        (
            "configs:\n- config_name: |-\n    a\n",
            "configs:\n- data_files: data/*/*.parquet\n  config_name: |-\n    a\n",
        ),
        (
            "configs:\n- config_name: a\n- config_name: b\n  default: true # c\n",
            "configs:\n- config_name: a\n  data_files: data/*/*.parquet\n"
            "- config_name: b\n  default: true # c\n  data_files: data/*/*.parquet\n",
        ),
        (
            "configs:\n- config_name: episodes\n  data_files: meta/episodes/*/*.parquet\n- config_name: default\n",
            "configs:\n- config_name: episodes\n  data_files: meta/episodes/*/*.parquet\n"
            "- config_name: default\n  data_files: data/*/*.parquet\n",
        ),
    ],
)
def test_a_pin_is_added(configs, expected):
    assert changed(configs + TAGS) == (expected + TAGS if configs else TAGS + expected)
    assert changed(TAGS + configs) == TAGS + expected
    assert changed(configs + TAGS, "\r\n") == changed(configs + TAGS).replace("\n", "\r\n")


@pytest.mark.parametrize(
    "data_files",
    [
        '"data/**"',
        "./data/*/*.parquet",
        "data/*.parquet # whatever this takes",
        "[data/chunk-000/*.parquet, data/chunk-001/*.parquet]",
        "\n  - split: train\n    path: [data/chunk-000/*]\n  - split: test\n    path: data/chunk-001/*",
        "data/*/*.parquet\n  data_dir: ''",
        "chunk-*/*.parquet\n  data_dir: data",
        "null\n  data_dir: data",
        "hf://datasets/other/one/meta/**",
        "/meta/**",
        "&glob data/**/*.parquet\nother: *glob",
    ],
)
def test_a_pin_that_keeps_the_metadata_out_stays(data_files):
    lines = f"{TAGS}configs:\n- config_name: default\n  data_files: {data_files}\n"
    if "whatever" in data_files:
        assert updated_card(front(lines), repository_id="a/b", format_version=1, facts=FACTS).startswith(
            f"---\n{lines}---\n"
        )
    else:
        assert changed(lines) == lines


@pytest.mark.parametrize(
    ("data_files", "expected"),
    [
        (' "**" # c', " data/*/*.parquet # c"),
        (" '**/*.parquet'", " data/*/*.parquet"),
        (' ["**"]', " [data/*/*.parquet]"),
        ("\n  - '**' # c\n  # d", "\n  - data/*/*.parquet # c\n  # d"),
        ("\n  - split: train # c\n    path: '**'", "\n  - split: train # c\n    path: data/*/*.parquet"),
        ("\n  - split: train\n    path:\n    - '**' # c", "\n  - split: train\n    path:\n    - data/*/*.parquet # c"),
        (" [data/*/*.parquet, meta/tasks.parquet]", " data/*/*.parquet"),
        ("\n  - data/*/*\n  - meta/*/*.parquet # c\n  version: 1.0.0", " data/*/*.parquet # c\n  version: 1.0.0"),
        ("\n  - data/*/*\n  - meta/tasks.parquet", " data/*/*.parquet"),
        (" [{split: train, path: [data/**, meta/**]}]", " [{split: train, path: data/*/*.parquet}]"),
        (" []", " data/*/*.parquet"),
        (" |-\n    **", " data/*/*.parquet"),
        (" meta/byte_index/*.parquet", " data/*/*.parquet"),
        (" &unused '**'", " data/*/*.parquet"),
    ],
)
def test_a_pin_that_takes_more_is_narrowed(data_files, expected):
    lines = f"{TAGS}configs:\n- config_name: default\n  data_files:{data_files}\n# the end\nlicense: mit\n"
    assert changed(lines) == lines.replace(f"data_files:{data_files}\n", f"data_files:{expected}\n")
    assert changed(lines, "\r\n") == changed(lines).replace("\n", "\r\n")


def test_an_alias_is_replaced_where_it_is_used():
    lines = f"glob: &glob '**'\n{TAGS}configs:\n- config_name: default\n  data_files: *glob\n"
    assert changed(lines) == lines.replace("*glob", "data/*/*.parquet")


def test_a_config_of_everything_beside_the_default_is_narrowed():
    lines = (
        f"{TAGS}{PIN}- config_name: all\n  data_files: '**'\n- config_name: index\n  data_files: meta/byte_index/*\n"
    )
    assert changed(lines) == lines.replace("'**'", "data/*/*.parquet")


def test_a_mapping_in_brackets():
    assert changed("{license: mit, tags: [a]}\n") == (
        "{license: mit, tags: [a, LeRobot, episeek], configs: [{config_name: default, data_files: data/*/*.parquet}]}\n"
    )
    assert metadata(update(front('{\n  "a": "b", # c\n}\n'))) == {"a": "b", "tags": BOTH_TAGS, "configs": PINNED}
    assert metadata(update(front("{}\n"))) == {"tags": BOTH_TAGS, "configs": PINNED}


@pytest.mark.parametrize("sign", ["|", "|+", "|-", ">", ">+\n"])
def test_a_text_at_the_end_gains_no_line_end(sign):
    card = front(f"# c\nlicense: mit\npretty: {sign.strip()}\n  one\n  two\n\n" + ("\n" if sign.endswith("\n") else ""))
    assert metadata(update(card))["pretty"] == metadata(card)["pretty"]
    card = "---\npretty: |\n  one\n---\n"
    assert metadata(update(card))["pretty"] == metadata(card)["pretty"] == "one"


def test_an_end_of_the_document_and_indentation():
    assert changed("  license: mit\n  # c\n...\n").startswith("  license: mit\n  # c\n  tags:\n  - LeRobot\n")
    assert changed("  license: mit\n...\n").endswith("    data_files: data/*/*.parquet\n...\n")


# --- The section -----------------------------------------------------------------------------------------------------


def test_the_section_is_replaced_where_it_is():
    first = update(LEROBOT)
    moved = first.replace(section(first), "").rstrip() + "\n"
    moved = moved.replace("## Dataset Description", f"before {section(first)} behind\n\n## Dataset Description")
    result = update(moved, facts=CardFacts(1, 1, 1, 29.97, 999))
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
    facts = CardFacts(10, 376, camera_count, 30, 40_600)
    code = re.search(r"```python\n(.*?)```", update(None, facts=facts), re.DOTALL)
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


# --- What is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("card", "line", "found"),
    [
        ("---\na: b\n", 1, "a front matter that is not closed"),
        ("\n---\n\ntext\n--\nmore\n", 2, "a front matter that is not closed"),
        ("---", 1, "a front matter that is not closed"),
        ("---\ra: b\r---\r", 1, "a front matter that is not closed"),
        ("---\na: b\r---\nc: d\n---\n", 2, "a carriage return alone"),
        ("--- \na: b\n---\n", 1, "'--- ' before or in the line"),
        ("\ufeff---\na: b\n---\n", 1, "a byte order mark before"),
        (front("a: {b\n"), 2, "expected ',' or '}'"),
        (front("a: b\n\tc: d\n"), 3, "found character '\\t'"),
        (front("tags: [a,\tb]\n"), 2, "found character '\\t'"),
        (front("a:\tb\n"), 2, "found character '\\t'"),
        (front("a: b\n...\n--- {c: d}\n"), 4, "but found another document"),
        (front("a: \x07\n"), None, "ReaderError"),
        (front("- a\n"), None, "list in the front matter"),
        (front("a\n"), None, "value in the front matter"),
        (front("null\n"), None, "value in the front matter"),
        (front("tags: [a]\nb: c\ntags: [d]\n"), 4, "a second key tags"),
        (front("configs: []\n'configs': []\n"), 3, "a second key configs"),
        (front(f"{PIN}  data_files: data/**\n"), 5, "a second key data_files"),
        (front("tags: {a: b}\n"), 2, "tags of keys and values"),
        (front("tags: |\n  a\n"), 2, "a text of several lines"),
        (front("x: &x [a]\ntags: *x\n"), 2, "the anchor &x on what has to change"),
        (front("tags: &x [a]\nx: *x\n"), 2, "the anchor &x on what has to change"),
        (front("configs: &x\n- config_name: a\nx: *x\n"), 2, "the anchor &x on what has to change"),
        (front("configs:\n- config_name: a\n  data_files: &x '**'\nx: *x\n"), 4, "the anchor &x on what has to change"),
        (front("a: *x\n"), 2, "found undefined alias"),
        (front("configs: a\n"), 2, "configs is a value"),
        (front("configs:\n- config_name: a\n  data_files: {a: b}\n"), 4, "data_files is a mapping"),
        (front("configs:\n- data_files: a\n"), 3, "a config without a name"),
        (front("configs:\n- config_name: a\n- config_name: a\n"), 3, "two configs of the same name"),
        (front("configs:\n- config_name: a\n  default: true\n- config_name: default\n"), 3, "2 default configs"),
        (front("configs:\n- config_name: a\n  data_dir: meta\n"), 3, "config 'a' with data_dir 'meta'"),
        (front(f"{PIN}- config_name: all\n  data_files: meta/**\n"), 5, "which takes the sidecars and no data"),
        (
            front("configs:\n- config_name: a\n  data_files: [{split: a, path: data/**}, {split: b, path: '**'}]\n"),
            4,
            "config 'a', whose splits take more",
        ),
        (front("x: &x {a: b}\n<<: *x\n"), 3, "a merge key <<"),
        (front("configs:\n- config_name: a\n  <<: {data_dir: meta}\n"), 4, "a merge key <<"),
        (front("? configs\n"), 2, "tags or configs in a form"),
        (front("", f"a\n{BEGIN}\n"), 4, "episeek:begin in line 4; expected"),
        (front("a: b\n", f"{END}\n"), 4, "episeek:end in line 4"),
        (f"{END}\n{BEGIN}", 1, "episeek:end in line 1, episeek:begin in line 2"),
        (f"\n{BEGIN}\n{BEGIN}\n{END}\n{END}", 2, "episeek:begin in line 2, episeek:begin in line 3, episeek:end"),
        (f"{BEGIN}{END}\n{BEGIN}{END}", 1, "episeek:begin in line 1, episeek:end in line 1, episeek:begin in line 2"),
        ("a\n\udcff", 2, "character U+DCFF"),
    ],
)
def test_what_is_refused(card, line, found):
    with pytest.raises(UnusableCardError) as caught:
        update(card)
    error = caught.value
    assert error.where == "README.md of org/name" + (f", line {line}" if line is not None else "")
    assert found in f"{error.found}; expected {error.expected}"
    assert error.expected
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_a_repository_that_is_none():
    with pytest.raises(UnusableCardError, match="repository_id: found"):
        update(None, repository_id='a"b/c')


def test_bytes():
    assert decoded_card("é\r\n".encode(), repository_id="a/b") == "é\r\n"
    with pytest.raises(UnusableCardError, match=r"README\.md of a/b, line 2: found byte 0xff; expected UTF-8"):
        decoded_card(b"a\n\xff", repository_id="a/b")


# --- Any card --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("tree")
    for path in FILES:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).touch()
    return root


def taken(root: Path, card: str) -> set[str]:
    """What `datasets` takes as the default config, without loading anything."""
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


GLOB = st.sampled_from(
    ["data/*/*.parquet", '"data/**"', '"**"', "'**/*.parquet'", "data/chunk-000/*", "'*/*/*.parquet'"]
)


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
                f"\n{indent}data_files: [{{split: train, path: {glob}}}]",
                f"\n{indent}data_files:\n{indent}- {glob}{draw(COMMENT)}\n{indent}- {draw(GLOB)}{draw(COMMENT)}",
                f"\n{indent}data_files:\n{indent}- split: train\n{indent}  path: {glob}{draw(COMMENT)}",
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
    """A card, and what of its front matter may not change."""
    text = draw(st.sampled_from(["", "\n", "# Title", "\n# Title\n\ntext\n", "text\n---\nmore: [\n", "\n\ufeff  \n\n"]))
    if draw(st.booleans()):
        text += f"before{BEGIN}\nold\n{END}{draw(st.sampled_from(['', ' behind', chr(10)]))}"
    if draw(st.integers(0, 9)):
        others = draw(st.lists(OTHERS, max_size=5, unique=True))
        parts = draw(st.permutations([part for part in (*others, draw(tags_lines()), draw(configs_lines())) if part]))
        lines = "".join(f"{draw(LINE)}{part}\n" for part in parts)
        close = "---" if not text else draw(st.sampled_from(["---\n", "---  \n"]))
        text = f"---\n{lines}{draw(LINE)}{close}{text}"
    else:
        others = []
    newline = draw(st.sampled_from(["\n", "\n", "\r\n"]))
    return text.replace("\n", newline), [other.replace("\n", newline) + newline for other in others]


def without_section(card: str) -> tuple[str, str]:
    """The text before and behind the section, without the front matter."""
    match = re.match(r"\A---(?:\r\n|\n)(?:.*?(?:\n))?---[ \t]*(?:\r\n|\n|\Z)", card, re.DOTALL)
    text = card[match.end() :] if match is not None else card
    before, begin, rest = text.partition(BEGIN)
    return before, rest.partition(END)[2] if begin else ""


def kept(card: str) -> dict:
    """What may not change, as values."""
    values = metadata(card)
    values.pop("tags", None)
    configs = values.pop("configs", None) or []
    names = [{k: v for k, v in config.items() if k != "data_files"} for config in configs]
    return {**values, "configs": names or [{"config_name": "default"}]}


def values_of(tags: object) -> list:
    return [] if tags is None else list(tags) if isinstance(tags, list) else [tags]


@settings(max_examples=100, deadline=None)
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
