"""The pin of `data_files` and the tags: how they are written into the usual forms of YAML, and that other forms are refused."""

import pytest

from episeek_pipelines.publish.card.section import UnusableCardError, updated_card
from tests.support.sample_cards import PIN
from tests.support.updated_cards import BOTH_TAGS, FIGURES, TAGS, changed, front, metadata, update


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ("tags: [\n  a, # c\n  b\n]\n", "tags: [\n  a, # c\n  b, LeRobot, episeek\n]\n"),
        ("tags: [a, b]\n", "tags: [a, b, LeRobot, episeek]\n"),
        ("tags: [a, b, ] # c\n", "tags: [a, b, LeRobot, episeek ] # c\n"),
        ("tags: []\n", "tags: [LeRobot, episeek]\n"),
        ("tags: a # c\n", "tags: [a, LeRobot, episeek] # c\n"),
        ("tags: 'a'\n", "tags: ['a', LeRobot, episeek]\n"),
        ("tags: lerobot\n", "tags: [lerobot, episeek]\n"),
        ("tags: # none\n", "tags: [LeRobot, episeek] # none\n"),
        ("tags: ~\n", "tags: [LeRobot, episeek]\n"),
        ("tags: null # c\n", "tags: [LeRobot, episeek] # c\n"),
        ("tags:\n- a # c\n\n# d\n", "tags:\n- a # c\n- LeRobot\n- episeek\n\n# d\n"),
        ("tags:\n    - lerobot\n    # c\n", "tags:\n    - lerobot\n    - episeek\n    # c\n"),
        ('tags:\n  - "EpiSeek"\n', 'tags:\n  - "EpiSeek"\n  - LeRobot\n'),
        ("x: &x lerobot\ntags: [*x]\n", "x: &x lerobot\ntags: [*x, episeek]\n"),
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
        assert updated_card(front(lines), repository_id="a/b", format_version=1, figures=FIGURES).startswith(
            f"---\n{lines}---\n"
        )
    else:
        assert changed(lines) == lines


@pytest.mark.parametrize(
    ("data_files", "expected"),
    [
        (' "**" # c', " data/*/*.parquet # c"),
        (" '**/*.parquet'", " data/*/*.parquet"),
        (' ["**"]', " data/*/*.parquet"),
        ("\n  - '**' # c\n  # d", " data/*/*.parquet # c\n  # d"),
        (" [data/*/*.parquet, meta/tasks.parquet]", " data/*/*.parquet"),
        ("\n  - data/*/*\n  - meta/*/*.parquet # c\n  version: 1.0.0", " data/*/*.parquet # c\n  version: 1.0.0"),
        ("\n  - data/*/*\n  - meta/tasks.parquet", " data/*/*.parquet"),
        (" []", " data/*/*.parquet"),
        (" meta/byte_index/*.parquet", " data/*/*.parquet"),
        (" &unused '**'", " data/*/*.parquet"),
    ],
)
def test_a_pin_that_takes_more_is_narrowed(data_files, expected):
    lines = f"{TAGS}configs:\n- config_name: default\n  data_files:{data_files}\n# the end\nlicense: mit\n"
    assert changed(lines) == lines.replace(f"data_files:{data_files}\n", f"data_files:{expected}\n")
    assert changed(lines, "\r\n") == changed(lines).replace("\n", "\r\n")


def test_a_config_of_everything_beside_the_default_is_narrowed():
    lines = (
        f"{TAGS}{PIN}- config_name: all\n  data_files: '**'\n- config_name: index\n  data_files: meta/byte_index/*\n"
    )
    assert changed(lines) == lines.replace("'**'", "data/*/*.parquet")


ADD_CONFIG = "write `configs: [{config_name: default, data_files: data/*/*.parquet}]`"


@pytest.mark.parametrize(
    ("lines", "line", "hint"),
    [
        ("license: mit\ntags: it's, that\n", 3, """write `tags: ['it''s, that', LeRobot, episeek]`"""),
        ("tags: [\n  a # c\n  ]\n", 2, "write `tags: [a, LeRobot, episeek]`"),
        ("tags:\n- |\n  é\n", 2, "write `tags: [é, LeRobot, episeek]`"),
        ("tags: |\n  a\n", 2, "write `tags: [a, LeRobot, episeek]`"),
        ("tags: &x\n- a\n", 2, "write `tags: [a, LeRobot, episeek]`"),
        ("? tags\n", 2, "write `tags: [LeRobot, episeek]`"),
        ("x: &x a\ntags: *x\n", 3, "write `tags: [a, LeRobot, episeek]`"),
        ("x: &x [a]\ntags: *x\n", 3, "write `tags: [a, LeRobot, episeek]`"),
        ("tags: &x [a]\nx: *x\n", 2, "write `tags: [a, LeRobot, episeek]`"),
        ("{license: mit, tags: [a]}\n", 2, ADD_CONFIG),
        ("{license: mit}\n", 2, "write `tags: [LeRobot, episeek]`"),
        ("license: mit\n...\n", 2, "write `tags: [LeRobot, episeek]`"),
        (f"{TAGS}pretty: |\n  one\n", 2, ADD_CONFIG),
        (f"{TAGS}pretty: >+\n  one\n\n", 2, ADD_CONFIG),
        (f"{TAGS}? configs\n", 5, ADD_CONFIG),
        (
            f"{TAGS}configs:\n- config_name: a\n  data_files: |-\n    **\n  default: true\n",
            5,
            "write `data_files: data/*/*.parquet` in the config 'a'",
        ),
        (f"{TAGS}x: &x\n- config_name: a\nconfigs: *x\n", 7, "write `data_files: data/*/*.parquet` in the config 'a'"),
        (f"{TAGS}configs: &x\n- config_name: a\nx: *x\n", 5, "write `data_files: data/*/*.parquet` in the config 'a'"),
        (
            f"{TAGS}configs:\n- config_name: a\n  data_files: &x '**'\nx: *x\n",
            5,
            "write `data_files: data/*/*.parquet` in the config 'a'",
        ),
        (
            f"{TAGS}glob: &glob '**'\nconfigs:\n- config_name: a\n  data_files: *glob\n",
            6,
            "write `data_files: data/*/*.parquet` in the config 'a'",
        ),
    ],
)
def test_other_forms_are_refused_with_the_line_to_paste(lines, line, hint):
    with pytest.raises(UnusableCardError) as caught:
        update(front(lines))
    assert (caught.value.line, caught.value.hint) == (line, hint)


def test_the_pasted_line_is_taken():
    lines = "license: mit\ntags: it's, that\n"
    with pytest.raises(UnusableCardError) as caught:
        update(front(lines))
    pasted = caught.value.hint.removeprefix("write `").removesuffix("`")
    assert metadata(update(front(f"license: mit\n{pasted}\n")))["tags"] == ["it's, that", *BOTH_TAGS]


def test_a_text_of_several_lines_at_the_end():
    lines = "pretty: >-\n  one\n  two\n"
    assert changed(lines) == f"{lines}{TAGS}{PIN}"
    lines = f"pretty: |\n  one\n{TAGS}{PIN}"
    assert changed(lines) == lines


def test_indentation():
    assert changed("  license: mit\n  # c\n").startswith("  license: mit\n  # c\n  tags:\n  - LeRobot\n")
    assert changed("  license: mit\n").endswith("    data_files: data/*/*.parquet\n")
