from itertools import chain
from pathlib import Path

import datasets
import pytest
from datasets.data_files import resolve_pattern
from hypothesis import given, settings
from hypothesis import strategies as st

from episeek_pipelines.verify import Finding
from episeek_pipelines.verify.metadata.card_rules import CardConfig, CardError, check_card, matches, parse_configs
from tests.support.amount import examples, full_run
from tests.support.sample_cards import DATA, HINTS, LEROBOT, META, SIDECARS, UNINDEXED

WITH_HINTS = LEROBOT.replace("---\n", f"---\n{HINTS}", 1)


def card(configs: str) -> str:
    return f"---\nlicense: mit\n{configs}\n---\ntext\n"


def default(data_files: str) -> str:
    return card(f"configs:\n- config_name: default\n  data_files: {data_files}")


def check(text: str | None, *, is_published: bool = False, has_sidecars: bool = True) -> list[Finding]:
    found = list(check_card(text, UNINDEXED, is_published=is_published, has_sidecars=has_sidecars))
    assert all(f.location.file == "README.md" for f in found)
    return found


def codes(*args, **options) -> list[str]:
    return [f.code for f in check(*args, **options)]


def test_the_card_that_lerobot_writes():
    assert parse_configs(WITH_HINTS) == [CardConfig("default", ("data/*/*.parquet",))]
    assert not codes(WITH_HINTS, is_published=True)


@pytest.mark.parametrize(
    "data_files",
    [
        '"data/**"',
        "./data/*/*.parquet",
        "[data/chunk-000/*.parquet, data/chunk-001/*.parquet]",
        "[{split: train, path: data/*/*.parquet}]",
        "[{split: train, path: [data/chunk-000/*, data/chunk-001/*]}]",
        "data/*/*.parquet\n  data_dir: ''",
        "chunk-*/*.parquet\n  data_dir: data",
        "null\n  data_dir: data",
        "hf://datasets/other/one/meta/**",
        "https://example.org/meta/byte_index/files.parquet",
        "/meta/**",
    ],
)
def test_spellings_that_pass(data_files):
    assert not codes(default(data_files), is_published=True)


@pytest.mark.parametrize("text", ["", "# A dataset", "---\nlicense: mit\n---\n", "---\n---\n", "---\nconfigs:\n---\n"])
def test_no_configs(text):
    unpinned, sidecars = check(text)
    assert (unpinned.code, sidecars.code) == ("HUB007", "HUB035")
    assert unpinned.message == (
        "no configs: `load_dataset` and the dataset viewer load meta/episodes/chunk-000/file-000.parquet and 1 other Parquet file"
        " outside of data/ as data;"
        " expected configs with data_files: data/*/*.parquet"
    )
    assert sidecars.message.startswith(
        "config 'default' loads meta/byte_index/episodes.parquet: 4 of its 9 Parquet files are sidecars; expected"
    )
    assert sidecars.severity == "error"
    assert codes(text, has_sidecars=False) == ["HUB007"]


def test_no_card():
    assert not codes(None)
    assert codes(None, is_published=True) == ["HUB007", "HUB035"]
    assert check(None, is_published=True, has_sidecars=False)[0].message.startswith(
        "no dataset card: `load_dataset` and the dataset viewer load meta/"
    )


@pytest.mark.parametrize(
    ("data_files", "expected"),
    [
        ('"**"', ["HUB007", "HUB035"]),
        ('"**/*.parquet"', ["HUB007", "HUB035"]),
        ('"*/*/*.parquet"', ["HUB035"]),
        ("[data/*/*.parquet, meta/byte_index/files.parquet]", ["HUB035"]),
        ("[data/*/*.parquet, meta/tasks.parquet]", ["HUB007"]),
        ("meta/byte_index/*", []),  # nothing but sidecars
        ("data/*.parquet", ["HUB007"]),
        ("data/*/{file-000,file-001}.parquet", ["HUB007"]),
        ("videos/**", []),
        ("data/**.parquet", ["HUB007"]),
        ("{train: data/*/*.parquet}", ["HUB007"]),
        ("[{split: train}]", ["HUB007"]),
        ("[[data/*]]", ["HUB007"]),
        ("12", ["HUB007"]),
        ("null", ["HUB007", "HUB035"]),
        ('"**"\n  data_dir: meta', ["HUB007", "HUB035"]),
    ],
)
def test_spellings_that_do_not(data_files, expected):
    assert codes(default(data_files)) == expected


def test_shards_that_datasets_prefers_to_everything():
    files = ["data/train-00000-of-00001.parquet", "meta/tasks.parquet"]
    assert not list(check_card("", files, is_published=True, has_sidecars=True))


def test_only_the_default_has_to_be_pinned():
    other = "- config_name: episodes\n  data_files: meta/episodes/*/*.parquet"
    both = card(f"configs:\n{other}\n- config_name: default\n  data_files: data/*/*.parquet")
    assert not codes(both)
    assert not codes(card(f"configs:\n{other}\n- config_name: rows\n  data_files: data/*/*.parquet"))
    assert codes(card(f"configs:\n{other}\n  default: true\n- config_name: rows\n  data_files: data/*/*")) == ["HUB007"]
    assert codes(card(f'configs:\n{other}\n- config_name: all\n  data_files: "**"')) == ["HUB035"]


@pytest.mark.parametrize(
    ("configs", "start"),
    [
        ("configs: {a", "line 3: expected ',' or '}'"),
        ("configs:\n- config_name: a\n\tdata_files: b", "line 5: found character '\\t'"),
        ("configs: data/*/*.parquet", "line 3: a value as configs; expected a list"),
        ("configs:\n- data", "line 4: a value as a config; expected"),
        ("configs:\n- data_files: data/*", "line 4: a config without config_name; expected config_name"),
        ("configs:\n- config_name: a\n  data_files: [1]", "line 5: a value in data_files; expected a pattern"),
        ("configs: *missing", "line 3: found undefined alias"),
        ("yes: a", "line 3: the key yes, which is not text; expected text keys"),
        ("? [a]\n: b", "line 3: a list as a key, which is not text"),
    ],
)
def test_a_front_matter_that_cannot_be_used(configs, start):
    (found,) = check(card(configs))
    assert found.code == "HUB007"
    assert found.message.startswith(start)
    with pytest.raises(CardError):
        parse_configs(card(configs))


def test_lines_count_from_the_top_and_windows_line_ends():
    text = "\n\n" + card("configs: {a")
    assert check(text)[0].message.startswith("line 5: ")
    assert parse_configs(WITH_HINTS.replace("\n", "\r\n")) == parse_configs(WITH_HINTS)


@full_run
def test_yaml_that_would_grow_or_construct_something():
    bomb = "a0: &a0 {x: 1}\n" + "\n".join(
        f"a{i}: &a{i} {{<<: [*a{i - 1}, *a{i - 1}, *a{i - 1}]}}" for i in range(1, 60)
    )
    pinned = "configs: [{config_name: default, data_files: data/*/*.parquet}]"
    assert not codes(card(f"{bomb}\n{pinned}"))
    assert not codes(card(f"made: !!python/object/apply:os.getcwd []\nwhen: 2026-99-99\n{pinned}"))
    many = "x: &x [" + "data/*," * 2000 + "]\ny: &y [" + "{split: a, path: *x}," * 2000 + "]\n"
    codes(card(many + "configs: [{config_name: default, data_files: *y}]"))
    codes(card("a: " + "[" * 5000))
    codes(card("configs: &a [{config_name: default, data_files: *a}]"))


PATTERNS = [
    "**", "*", "data/*", "data/**", "data/*/*", "data/*/*.parquet", "**/*.parquet", "**/file-000.parquet", "data/**/*.parquet",
    "meta/**/*", "*/*.parquet", "data/chunk-00?/file-*.parquet", "data/chunk-00[0-1]/*", "data/chunk-00[!0]/*",
    "data/{chunk-000,chunk-001}/*", "**/**", "**/chunk-000/**", "data/chunk-000/file-000.parquet", "./data/*/*", "data/*/",
    ".cache/*", ".*/*", "**/.hidden.parquet", "__pycache__/*", "**/__*/*", "missing/*", "*.parquet", "data/**/**/*.parquet",
]  # fmt: skip


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("tree")
    more = (".cache/a.parquet", "__pycache__/b.parquet", "data/.hidden.parquet", "top.parquet", "data/__x/c.parquet")
    for path in (*UNINDEXED, *SIDECARS, *more):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).touch()
    return root


def resolved(root: Path, pattern: str) -> set[str]:
    try:
        found = resolve_pattern(pattern, str(root), [".parquet"])
    except FileNotFoundError:
        return set()
    return {Path(path).relative_to(root).as_posix() for path in found}


def taken(root: Path, pattern: str) -> set[str]:
    files = [path.relative_to(root).as_posix() for path in root.rglob("*.parquet")]
    return {path for path in files if matches(pattern.removeprefix("./").removesuffix("/"), path)}


@pytest.mark.parametrize("pattern", PATTERNS)
def test_globs_as_datasets_resolves_them(tree, pattern):
    assert taken(tree, pattern) == resolved(tree, pattern)


PARTS = st.sampled_from(
    [
        "**",
        "*",
        "data",
        "meta",
        "chunk-*",
        "chunk-00?",
        "*.parquet",
        "file-00[0-9].parquet",
        "[!d]*",
        "byte_index",
        ".*",
        "__*",
    ]
)


@settings(max_examples=examples(150), deadline=None)
@given(parts=st.lists(PARTS, min_size=1, max_size=4))
def test_any_glob_as_datasets_resolves_it(tree, parts):
    pattern = "/".join(parts)
    assert taken(tree, pattern) == resolved(tree, pattern)


@pytest.mark.parametrize(
    "config",
    [
        "data_files: data/*/*.parquet",
        'data_files: "**"',
        "data_files: [data/*/*, meta/byte_index/*]",
        "data_files: [{split: train, path: [data/*/*]}, {split: test, path: meta/tasks.parquet}]",
        "data_dir: data",
        "data_dir: meta",
        "version: 1.0.0",
    ],
)
def test_configs_as_datasets_resolves_them(tmp_path, config):
    text = card(f"configs:\n- config_name: default\n  {config}")
    for path in (*DATA, *META, *SIDECARS):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    (tmp_path / "README.md").write_text(text)
    builder = datasets.load_dataset_builder(str(tmp_path), cache_dir=str(tmp_path / "cache"))
    resolved_paths = chain.from_iterable(builder.config.data_files.values())
    files = {Path(path).relative_to(tmp_path).as_posix() for path in resolved_paths}
    found = codes(text)
    assert ("HUB007" in found) == bool(files & set(META))
    assert ("HUB035" in found) == bool(files & set(SIDECARS))


@settings(deadline=None)
@given(configs=st.text(alphabet="ab:-{}[],*&!?|>'\"#%@ \n\t0", max_size=60))
def test_hostile_front_matter(configs):
    check(card(configs))
    check(card("configs:" + configs))


@settings(deadline=None)
@given(text=st.text(max_size=60))
def test_hostile_cards(text):
    check(text)
    check(default(text))


def test_slow_patterns():
    pattern = "*a" * 40 + "b"
    assert not matches(pattern, "a" * 200)
    assert not matches("/".join(["**", "a"] * 60), "/".join("a" * 100) + "/b")
