import json
import pickle
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from episeek.errors import EpiseekError
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.verify import LEVELS, VerifyOptions
from episeek_pipelines.verify.rules import FAIL_ON
from episeek_pipelines.verify.settings import configuration_keys
from episeek_pipelines.verify.settings.configuration import Configuration, configure
from episeek_pipelines.verify.settings.policy import Policy
from episeek_pipelines.verify.settings.rule_codes import ConfigurationError

EVERY_KEY = """
level = "rows"
select = ["VID", "ROW017"]
ignore = ["VID022W"]
fail-on = "warning"
tolerance-seconds = 2e-4
world-size = 8
num-workers = 4
decode-episodes = "all"
decode-windows = 3
baseline = "episeek-baseline.json"
max-findings = 5
severity = {VID024W = "error"}
per-path-ignores = {"videos/wrist/**" = ["VID039"], "data/*" = ["ROW"]}
"""


def write(folder: Path, text: str, name: str = "episeek.toml") -> Root:
    (folder / name).write_text(text)
    return Root(str(folder))


def everything(root: str) -> Configuration:
    return Configuration(
        Policy(
            select=("VID", "ROW017"),
            ignore=("VID022W",),
            severity={"VID024W": "error"},
            per_path_ignores=(("videos/wrist/**", ("VID039",)), ("data/*", ("ROW",))),
            fail_on="warning",
        ),
        VerifyOptions(
            level="rows", tolerance_seconds=2e-4, world_size=8, num_workers=4, decoded_episodes=None, decoded_windows=3
        ),
        f"{root}/episeek-baseline.json",
        5,
        f"{root}/episeek.toml",
    )


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is read below a root."""
    paths: list[str] = []
    original = Root.read_bytes

    def counted(self: Root, path: str) -> bytes:
        paths.append(path)
        return original(self, path)

    monkeypatch.setattr(Root, "read_bytes", counted)
    return paths


@pytest.fixture
def memory() -> Iterator[fsspec.AbstractFileSystem]:
    files = fsspec.filesystem("memory")
    yield files
    files.rm("/configured", recursive=True)


# --- where it comes from ---------------------------------------------------------------------------------------------


def test_without_a_file_everything_is_default(tmp_path: Path, reads: list[str]):
    expected = Configuration(Policy(), VerifyOptions(), None, 20, None)
    assert configure(Root(str(tmp_path))) == expected
    assert configure(Root(str(tmp_path / "missing"))) == expected
    assert reads == ["episeek.toml", "pyproject.toml"] * 2
    write(tmp_path, "[tool.other]\nlevel = 3\n", "pyproject.toml")
    assert configure(Root(str(tmp_path))) == expected
    assert configure(write(tmp_path, "")) == Configuration(path=f"{tmp_path}/episeek.toml")


def test_every_key_of_episeek_toml(tmp_path: Path):
    assert configure(write(tmp_path, EVERY_KEY)) == everything(str(tmp_path))


def test_every_key_is_in_these_tests_and_in_the_documentation(tmp_path: Path):
    documented = configuration_keys.__doc__ or ""
    example = re.sub(r"^    ", "", documented[documented.index("    level = ") :].rstrip(), flags=re.M)
    configured = configure(write(tmp_path, example))
    assert configured.options == VerifyOptions(
        "rows", world_size=8, num_workers=4, decoded_episodes=None, decoded_windows=8
    )
    for key in configuration_keys._CHECKS:
        assert re.search(rf"^\[?{key}\b", EVERY_KEY, re.M), key
        assert re.search(rf"^\[?{key}\b", example, re.M), key


def test_every_key_of_a_table_in_pyproject_toml(tmp_path: Path):
    write(tmp_path, f'[project]\nname = "x"\n[tool.episeek]\n{EVERY_KEY}', "pyproject.toml")
    configured = configure(Root(str(tmp_path)))
    assert configured.path == f"{tmp_path}/pyproject.toml"
    expected = everything(str(tmp_path))
    assert (configured.policy, configured.options) == (expected.policy, expected.options)
    assert configured.baseline_path == expected.baseline_path


def test_two_files_are_an_error_that_names_both(tmp_path: Path):
    write(tmp_path, "", "episeek.toml")
    root = write(tmp_path, "[tool.episeek]\n", "pyproject.toml")
    with pytest.raises(ConfigurationError) as caught:
        configure(root)
    assert str(caught.value) == (
        f"{tmp_path}: found episeek.toml, and [tool.episeek] in pyproject.toml; "
        "expected a configuration in only one of the two files"
    )
    (tmp_path / "own.toml").write_text('level = "meta"')
    assert configure(root, config_path=str(tmp_path / "own.toml")).options.level == "meta"


def test_a_remote_root_is_asked_for_what_it_has(memory: fsspec.AbstractFileSystem, reads: list[str]):
    root = Root("memory://configured")
    memory.pipe("/configured/meta/info.json", b"{}")
    assert configure(root) == Configuration()
    assert reads == ["episeek.toml", "pyproject.toml"]
    reads.clear()
    assert configure(root, files=root.files()) == Configuration()
    assert reads == []
    memory.pipe("/configured/episeek.toml", EVERY_KEY.encode())
    assert configure(root, files=root.files()) == everything("memory://configured")
    assert reads == ["episeek.toml"]
    assert configure(root) == everything("memory://configured")


def test_an_explicit_file_is_read_alone(tmp_path: Path, reads: list[str]):
    (tmp_path / "own").mkdir()
    root = write(tmp_path, "nonsense")
    path = tmp_path / "own/checks.toml"
    path.write_text('level = "decode"\nbaseline = "../b.json"')
    configured = configure(root, config_path=str(path))
    assert configured == Configuration(
        Policy(), VerifyOptions(level="decode"), f"{tmp_path}/own/../b.json", 20, str(path)
    )
    assert reads == []
    for baseline in ("/elsewhere/b.json", "s3://bucket/b.json"):
        path.write_text(f'baseline = "{baseline}"')
        assert configure(root, config_path=str(path)).baseline_path == baseline
    project = tmp_path / "own/pyproject.toml"
    project.write_text('[tool.episeek]\nlevel = "meta"')
    assert configure(root, config_path=str(project)).options.level == "meta"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("missing.toml", None, r"--config: found .*missing.toml: no such file or directory; expected a readable file"),
        (".", None, "--config: found .*: is a directory"),
        ("a\0b", None, "--config: found .*null byte"),
        ("pyproject.toml", b"[tool]", r"pyproject.toml: found no such table; expected \[tool.episeek\]"),
        ("own.toml", b"[tool.episeek]", "own.toml, tool: found an unknown key; expected one of level, select"),
        ("own.toml", b"\xff", "own.toml: found .*can't decode byte"),
    ],
)
def test_an_explicit_file_has_to_be_one(tmp_path: Path, name: str, content: bytes | None, message: str):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ConfigurationError, match=message):
        configure(Root(str(tmp_path)), config_path=f"{tmp_path}/{name}")
    with pytest.raises(ConfigurationError, match=r"--config: found s3://bucket/x.toml; expected a local file"):
        configure(Root(str(tmp_path)), config_path="s3://bucket/x.toml")


# --- what is wrong with it -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("level", "episeek.toml: found Expected '=' after a key.*; expected a TOML file in UTF-8"),
        ("world-size = " + "9" * 5000, "episeek.toml: found .*; expected a TOML file"),
        ("max-finding = 3", "max-finding: found an unknown key .did you mean max-findings.*; expected one of level, select"),
        ("Tolerance_Seconds = 1e-3", "Tolerance_Seconds: found .*did you mean tolerance-seconds"),
        ('"a b" = 3', 'episeek.toml, "a b": found an unknown key; expected'),
        ('level = "row"', r'level: found "row" \(did you mean rows\?\); expected one of meta, layout, rows, decode'),
        ("level = 3", "level: found 3; expected one of meta"),
        ('select = "VID"', 'select: found "VID"; expected an array of codes'),
        ("select = [3]", r"select: found \[3\]; expected an array of codes"),
        ('select = ["vid24"]', r"select: found 'vid24' \(did you mean VID024\?\)"),
        ('ignore = ["VER001"]', "ignore: found 'VER001'; expected rules that can be ignored .VER000 and VER001 always count"),
        ('severity = ["VID024W"]', "severity: found .*; expected a table of codes, each with one of error, warning"),
        ('severity.VID = "error"', "severity.VID: found 'VID'; expected the whole code"),
        ('severity.VID024 = "info"', 'severity.VID024: found "info"; expected one of error, warning'),
        ("severity.VID024 = 3", "severity.VID024: found 3"),
        ('severity.VER000 = "warning"', "severity.VER000: .*an unread file proves nothing"),
        ("per-path-ignores = 3", "per-path-ignores: found 3; expected a table of globs"),
        ('per-path-ignores = {"a/*" = "VID"}', 'per-path-ignores."a/[*]": found "VID"; expected an array of codes'),
        ('per-path-ignores = {"a/*" = ["vid24"]}', 'per-path-ignores."a/[*]": found \'vid24\' .did you mean VID024'),
        ('per-path-ignores = {"/a" = ["VID"]}', "per-path-ignores: found '/a'; expected a glob of paths below"),
        ('fail-on = "warnings"', r"fail-on: found .* \(did you mean warning\?\); expected one of error, warning, never"),
        ("tolerance-seconds = 1", "tolerance-seconds: found 1; expected a number of more than 0 and less than 1"),
        ("tolerance-seconds = nan", "tolerance-seconds: found NaN"),
        ('tolerance-seconds = "1e-4"', 'tolerance-seconds: found "1e-4"'),
        ("world-size = 0", "world-size: found 0; expected a whole number, 1 or more"),
        ("world-size = true", "world-size: found true"),
        ("world-size = 1.0", "world-size: found 1.0"),
        ("num-workers = -1", "num-workers: found -1; expected a whole number, 0 or more"),
        ("decode-episodes = 0", 'decode-episodes: found 0; expected a whole number, 1 or more, or "all"'),
        ('decode-episodes = "al"', r"decode-episodes: found .* \(did you mean all\?\)"),
        ("max-findings = 1979-05-27", 'max-findings: found "1979-05-27"; expected a whole number'),
        ("baseline = 3", "baseline: found 3; expected the path of a file"),
        ('baseline = " "', 'baseline: found " "; expected the path'),
        ('baseline = "a\\u0000b"', "baseline: found .*; expected the path"),
        ('baseline = "' + "x" * 200 + '/.."', r"baseline: found \"x{59}\.\.\.;"),
    ],
)  # fmt: skip
def test_one_error_names_file_key_and_both_sides(tmp_path: Path, text: str, message: str):
    root = write(tmp_path, text)
    with pytest.raises(ConfigurationError, match=message) as caught:
        configure(root)
    assert str(caught.value).startswith(f"{tmp_path}/episeek.toml")
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)
    (tmp_path / "episeek.toml").unlink()
    if "expected a TOML file" not in str(caught.value):
        write(tmp_path, f"[tool.episeek]\n{text}", "pyproject.toml")
        with pytest.raises(
            ConfigurationError, match=f"pyproject.toml, tool.episeek.{message.removeprefix('episeek.toml, ')}"
        ):
            configure(root)


def test_a_file_that_is_nested_too_deep(tmp_path: Path):
    root = write(tmp_path, "a = " + "[" * 5000)
    with pytest.raises(ConfigurationError, match=r"episeek\.toml: found .*; expected a TOML file"):
        configure(root)


@pytest.mark.parametrize("text", ["tool = 3", "[tool]\nepiseek = 3"])
def test_what_should_be_a_table_of_pyproject_toml(tmp_path: Path, text: str):
    with pytest.raises(ConfigurationError, match=r"pyproject.toml, tool(\.episeek)?: found 3; expected a table"):
        configure(write(tmp_path, text, "pyproject.toml"))


@pytest.mark.parametrize(
    "path", ["/etc/passwd", "../b.json", "a/../../b.json", "..", "s3://bucket/b.json", "file:///b.json", "a::file:b"]
)
def test_a_dataset_names_no_baseline_outside_of_it(tmp_path: Path, path: str):
    with pytest.raises(ConfigurationError, match=r"episeek.toml, baseline: .* expected a path below the dataset root"):
        configure(write(tmp_path, f'baseline = "{path}"'))
    assert configure(write(tmp_path, 'baseline = "./a/..b"')).baseline_path == f"{tmp_path}/a/..b"


# --- the command line ------------------------------------------------------------------------------------------------


def test_the_command_line_wins(tmp_path: Path):
    root = write(tmp_path, EVERY_KEY)
    configured = configure(
        root,
        level="meta",
        select=["INF,EPI", "TSK"],
        ignore=["VID022W", "ROW019, INF006"],
        severity=["ROW017=warning,VID024W=warning"],
        fail_on="never",
        tolerance_seconds=0.01,
        world_size=2,
        num_workers=0,
        decoded_episodes=3,
        decoded_windows=0,
        baseline="other.json",
        max_findings=7,
    )
    assert configured == Configuration(
        Policy(
            select=("INF", "EPI", "TSK"),
            ignore=("VID022W", "ROW019", "INF006"),
            severity={"VID024W": "warning", "ROW017": "warning"},
            per_path_ignores=everything("").policy.per_path_ignores,
            fail_on="never",
        ),
        VerifyOptions("meta", 0.01, 2, 0, 3, 0),
        "other.json",
        7,
        f"{tmp_path}/episeek.toml",
    )


@pytest.mark.parametrize(
    ("option", "value", "part"),
    [
        ("level", "meta", lambda c: c.options.level),
        ("fail_on", "never", lambda c: c.policy.fail_on),
        ("tolerance_seconds", 0.5, lambda c: c.options.tolerance_seconds),
        ("world_size", 1, lambda c: c.options.world_size),
        ("num_workers", 0, lambda c: c.options.num_workers),
        ("decoded_episodes", 1, lambda c: c.options.decoded_episodes),
        ("decoded_windows", 0, lambda c: c.options.decoded_windows),
        ("baseline", "x", lambda c: c.baseline_path),
        ("max_findings", 1, lambda c: c.max_findings),
    ],
)
def test_each_option_changes_what_it_says_and_nothing_else(tmp_path: Path, option: str, value: Any, part: Any):
    root = write(tmp_path, EVERY_KEY)
    before, after = configure(root), configure(root, **{option: value})
    assert part(after) == value != part(before)
    same = [
        line
        for line in EVERY_KEY.splitlines()
        if not line.startswith(option.replace("_", "-").replace("decoded", "decode"))
    ]
    kept = configure(write(tmp_path, "\n".join(same)), **{option: value})
    assert kept == after


def test_ignored_codes_and_severities_are_added(tmp_path: Path):
    configured = configure(write(tmp_path, EVERY_KEY), ignore=["ROW019"], severity=["ROW017=warning"])
    assert configured.policy.ignore == ("VID022W", "ROW019")
    assert configured.policy.severity == (("ROW017", "warning"), ("VID024W", "error"))


def test_decoded_episodes_of_none_is_all(tmp_path: Path):
    root = write(tmp_path, "decode-episodes = 3")
    assert configure(root).options.decoded_episodes == 3
    assert configure(root, decoded_episodes=None).options.decoded_episodes is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"level": "zzz"}, '--level: found "zzz"; expected one of meta'),
        ({"select": ["vid24"]}, r"--select: found 'vid24' \(did you mean VID024\?\)"),
        ({"select": [""]}, "--select: found ''; expected codes"),
        ({"ignore": ["VID,,ROW"]}, "--ignore: found ''; expected codes"),
        ({"ignore": ["VER"]}, "--ignore: found 'VER'; .*an unread file proves nothing"),
        (
            {"severity": ["VID024"]},
            "--severity: found 'VID024'; expected CODE=SEVERITY, with SEVERITY one of error, warning",
        ),
        ({"severity": ["VID024=info"]}, '--severity: found "info"; expected one of error, warning'),
        ({"severity": ["vid24=error"]}, "--severity: found 'vid24' .did you mean VID024"),
        ({"severity": ["VER001=warning"]}, "--severity: .*an unread file proves nothing"),
        ({"fail_on": "x"}, "--fail-on: found"),
        ({"tolerance_seconds": 0.0}, "--tolerance-seconds: found 0.0; expected"),
        ({"world_size": 0}, "--world-size: found 0"),
        ({"num_workers": -1}, "--num-workers: found -1"),
        ({"decoded_episodes": 0}, "--decode-episodes: found 0"),
        ({"baseline": ""}, '--baseline: found ""'),
        ({"max_findings": 0}, "--max-findings: found 0"),
    ],
)
def test_a_wrong_option_is_named(tmp_path: Path, arguments: dict[str, Any], message: str):
    with pytest.raises(ConfigurationError, match=message):
        configure(Root(str(tmp_path)), **arguments)


# --- any file --------------------------------------------------------------------------------------------------------

TOML_VALUES = st.recursive(
    st.booleans()
    | st.integers(-2, 9)
    | st.floats()
    | st.sampled_from([*LEVELS, *FAIL_ON, "all", "VID", "VER", "a/**"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["VID024", "a/**"]), inner, max_size=2),
    max_leaves=4,
)


def toml(value: object) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {toml(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    if isinstance(value, float):
        return repr(value)
    return json.dumps(value)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.dictionaries(st.sampled_from(sorted(configuration_keys._CHECKS)), TOML_VALUES, max_size=2))
def test_any_value_is_used_or_named(tmp_path: Path, values: dict[str, Any]):
    root = write(tmp_path, "".join(f"{key} = {toml(value)}\n" for key, value in values.items()))
    try:
        configured = configure(root)
    except ConfigurationError as error:
        named = re.match(rf"{re.escape(str(tmp_path))}/episeek.toml, ([a-z-]+)", str(error))
        if named is None or named[1] not in values:
            raise
        return
    assert configured.options.level == values.get("level")
    assert configured.max_findings == values.get("max-findings", 20)
    assert configured.policy.ignore == tuple(values.get("ignore", ()))
    assert dict(configured.policy.severity) == values.get("severity", {})
    assert configured.options.world_size == values.get("world-size")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.binary(max_size=60) | st.text("levl= \"'[]{}#\n.\\-019", max_size=40).map(str.encode))
@example(b"\xef\xbb\xbflevel = 'rows'")
def test_any_bytes_are_a_configuration_or_a_named_error(tmp_path: Path, data: bytes):
    for name in ("episeek.toml", "pyproject.toml"):
        (tmp_path / name).write_bytes(data)
        try:
            assert isinstance(configure(Root(str(tmp_path))), Configuration)
        except EpiseekError as error:
            if type(error) is not ConfigurationError or not str(error).startswith(f"{tmp_path}/{name}"):
                raise
        (tmp_path / name).unlink()
