import glob
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from episeek.errors import EpiseekError
from episeek_pipelines.verify import RULES, Finding, Location, VerificationReport
from episeek_pipelines.verify.rules import FAIL_ON
from episeek_pipelines.verify.settings.path_globs import matches, validate_pattern
from episeek_pipelines.verify.settings.policy import Policy, apply_policy, fails
from episeek_pipelines.verify.settings.rule_codes import FAMILIES, ConfigurationError, matching_codes, validate_codes
from tests.support.amount import examples

TOP, WRIST = "videos/top/chunk-000/file-000.mp4", "videos/wrist/chunk-000/file-001.mp4"

CODES = st.sampled_from(sorted(RULES))
FILES = st.sampled_from([None, TOP, WRIST, "data/chunk-000/file-000.parquet", "meta/info.json"])
FINDINGS = st.builds(
    lambda code, file, message, more: Finding(code, RULES[code].severity, message, "", Location(file), more),
    CODES,
    FILES,
    st.sampled_from("ab"),
    st.integers(0, 3),
)
PREFIXES = st.sampled_from(
    sorted({code[:size] for code in RULES for size in range(3, len(code) + 1) if not code.startswith("VER")})
)
POLICIES = st.builds(
    Policy,
    select=st.lists(PREFIXES, max_size=3),
    ignore=st.lists(PREFIXES, max_size=3),
    severity=st.dictionaries(
        st.sampled_from([code for code in sorted(RULES) if not code.startswith("VER")]),
        st.sampled_from(["error", "warning"]),
        max_size=3,
    ),
    per_path_ignores=st.lists(
        st.tuples(st.sampled_from(["**", "videos/**", "videos/*/*/*.mp4", "data/?*"]), st.lists(PREFIXES, max_size=2)),
        max_size=2,
    ),
    fail_on=st.sampled_from(FAIL_ON),
)


def found(code: str, file: str | None = None, *, more: int = 0) -> Finding:
    return Finding(code, RULES[code].severity, "x", "", Location(file), more)


def report_of(*findings: Finding) -> VerificationReport:
    return VerificationReport("/somewhere", tuple(sorted(findings)), 2, 3, 4, 7, 1_500_000, 0.0)


def codes_left(policy: Policy, *findings: Finding) -> list[str]:
    return [found.code for found in apply_policy(report_of(*findings), policy).findings]


# --- codes -----------------------------------------------------------------------------------------------------------


def test_a_whole_code_is_that_rule_alone_and_a_start_is_all_that_have_it():
    assert matching_codes("VID024") == {"VID024"}
    assert matching_codes("VID024W") == {"VID024W"}
    assert matching_codes("VID02") > {"VID022", "VID024", "VID024W", "VID028"}
    assert "VID039" not in matching_codes("VID02")
    assert matching_codes("VID") == {code for code in RULES if code[:3] == "VID"}
    for nothing in ("", "V", "VI", "vid", "VID024X", "VID9", " VID", "*"):
        assert matching_codes(nothing) == frozenset()


@pytest.mark.parametrize(
    ("text", "suggestion"),
    [("vid24", "VID024"), ("vid024w", "VID024W"), ("VI", "VID"), ("vid02", "VID02"), ("RWO017", "ROW017")],
)
def test_an_unknown_code_is_an_error_that_suggests_one(text: str, suggestion: str):
    with pytest.raises(ConfigurationError) as caught:
        validate_codes(["ROW", text], "--select")
    assert str(caught.value).startswith(f"--select: found {text!r} (did you mean {suggestion}?); expected ")


def test_all_unknown_codes_are_named():
    with pytest.raises(ConfigurationError, match=r"found 'qqqq', 'ROW17' \(did you mean ROW017\?\); expected"):
        validate_codes(["qqqq", "VID", "ROW17"], "ignore")
    validate_codes([*RULES, *FAMILIES], "ignore")


@settings(deadline=None)
@given(CODES, st.data())
def test_a_code_in_lower_case_or_without_a_digit_suggests_a_rule_of_its_family(code: str, data: st.DataObject):
    position = data.draw(st.integers(3, 5))
    with pytest.raises(ConfigurationError, match=rf"did you mean {code[:3]}\d\d\dW?\?"):
        validate_codes([(code[:position] + code[position + 1 :] + "9").lower()], "ignore")
    with pytest.raises(ConfigurationError, match=rf"did you mean {code}\?"):
        validate_codes([code.lower()], "ignore")


def test_the_error_is_a_value_error_and_pickles():
    with pytest.raises(ConfigurationError) as caught:
        Policy(select=("vid24",))
    copied = pickle.loads(pickle.dumps(caught.value))
    assert type(copied) is ConfigurationError
    assert issubclass(ConfigurationError, EpiseekError)
    assert issubclass(ConfigurationError, ValueError)
    assert str(copied) == str(caught.value)


# --- the policy ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"ignore": ["vid24"]}, "ignore: .*VID024"),
        ({"per_path_ignores": [("videos/**", ["vid24"])]}, "per-path-ignores, videos/.*: .*VID024"),
        ({"per_path_ignores": [("/videos", ["VID"])]}, "per-path-ignores: found '/videos'"),
        ({"severity": {"VID": "error"}}, "severity, VID: .*whole code"),
        ({"severity": {"vid24": "error"}}, "did you mean VID024"),
        ({"severity": {"VID024": "fatal"}}, 'found "fatal"; expected one of error, warning'),
        ({"fail_on": "always"}, "fail-on: found 'always'; expected one of error, warning, never"),
    ],
)
def test_what_means_nothing_is_refused(arguments: dict, message: str):
    with pytest.raises(ConfigurationError, match=message):
        Policy(**arguments)


@pytest.mark.parametrize("code", ["VER000", "VER001"])
@pytest.mark.parametrize("form", ["{}", "VER", "VER00"])
def test_what_was_not_looked_at_always_counts(code: str, form: str):
    text = form.format(code)
    for arguments in ({"ignore": [text]}, {"per_path_ignores": [("**", [text])]}):
        with pytest.raises(ConfigurationError, match="an unread file proves nothing"):
            Policy(**arguments)
    with pytest.raises(ConfigurationError, match="an unread file proves nothing"):
        Policy(severity={code: "warning"})
    assert Policy(severity={code: "error"}).severity == ((code, "error"),)
    assert codes_left(Policy(select=("ROW017",)), found(code, TOP), found("VID024")) == [code]


@pytest.mark.parametrize(
    ("text", "suggestion"), [("VID", ""), ("vid02", ""), ("vid024", "VID024"), ("vid24", "VID024")]
)
def test_where_one_rule_is_meant_no_family_is_suggested(text: str, suggestion: str):
    like = f" (did you mean {suggestion}?)" if suggestion else ""
    with pytest.raises(ConfigurationError) as caught:
        Policy(severity={text: "error"})
    assert (
        str(caught.value)
        == f"severity, {text}: found {text!r}{like}; expected the whole code of one rule, such as VID024"
    )


def test_a_policy_hashes_however_it_was_given():
    given: Any = (["VID"], ["ROW"], {"VID024W": "error", "ROW019": "error"}, [("data/**", ["ROW"])])
    lists = Policy(*given)
    tuples = Policy(
        ("VID",), ("ROW",), (("ROW019", "error"), ("VID024W", "error")), (("data/**", ("ROW",)),), fail_on="error"
    )
    assert lists == tuples
    assert hash(lists) == hash(tuples)
    assert pickle.loads(pickle.dumps(lists)) == tuples
    assert lists.severity == (("ROW019", "error"), ("VID024W", "error"))


def test_selecting_and_ignoring():
    findings = [found("VID024"), found("VID024W"), found("VID039"), found("ROW017"), found("VER001")]
    assert codes_left(Policy(), *findings) == ["ROW017", "VER001", "VID024", "VID024W", "VID039"]
    assert codes_left(Policy(select=("VID024",)), *findings) == ["VER001", "VID024"]
    assert codes_left(Policy(select=("VID", "ROW017")), *findings) == [
        "ROW017", "VER001", "VID024", "VID024W", "VID039",
    ]  # fmt: skip
    assert codes_left(Policy(ignore=("VID02",)), *findings) == ["ROW017", "VER001", "VID039"]
    assert codes_left(Policy(select=("VID024",), ignore=("VID",)), *findings) == ["VER001"]


def test_what_is_left_out_is_counted_with_those_it_stands_for():
    report = report_of(found("VID024", more=4), found("VID039", more=1), found("ROW017"))
    first = apply_policy(report, Policy(ignore=("VID024",)))
    assert (first.ignored_count, first.error_count, first.warning_count) == (5, 1, 2)
    assert apply_policy(first, Policy(select=("ROW",))).ignored_count == 7
    assert first == replace(report, findings=first.findings, ignored_count=5)


def test_severities_change_and_the_order_with_them():
    report = report_of(found("ROW017"), found("VID024"), found("INF006"))
    changed = apply_policy(report, Policy(severity={"ROW017": "warning", "INF006": "error"}))
    assert [(f.severity, f.code) for f in changed.findings] == [
        ("error", "INF006"), ("error", "VID024"), ("warning", "ROW017"),
    ]  # fmt: skip


def test_per_path_ignores_are_of_their_files_alone():
    policy = Policy(per_path_ignores=(("videos/wrist/**", ("VID",)), ("data/**", ("VID",))))
    kept = apply_policy(
        report_of(*(found("VID024", file) for file in (TOP, WRIST, None)), found("ROW017", WRIST)), policy
    )
    assert [(f.code, f.location.file) for f in kept.findings] == [("ROW017", WRIST), ("VID024", None), ("VID024", TOP)]
    assert kept.ignored_count == 1


@pytest.mark.parametrize(
    ("codes", "fail_on"),
    [
        ([], {"error": False, "warning": False, "never": False}),
        (["VID039"], {"error": False, "warning": True, "never": False}),
        (["VID024"], {"error": True, "warning": True, "never": False}),
    ],
)
def test_what_fails(codes: list[str], fail_on: dict):
    report = report_of(*map(found, codes))
    assert {value: fails(report, Policy(fail_on=value)) for value in FAIL_ON} == fail_on


@settings(deadline=None)
@given(st.lists(FINDINGS, max_size=8), POLICIES)
def test_a_policy_keeps_or_counts_every_finding(findings: list[Finding], policy: Policy):
    report = report_of(*findings)
    applied = apply_policy(report, policy)
    total = report.error_count + report.warning_count
    assert applied.error_count + applied.warning_count + applied.ignored_count == total
    assert list(applied.findings) == sorted(applied.findings)
    assert apply_policy(applied, policy) == applied
    kept = [(f.code, f.location, f.message, f.more) for f in applied.findings]
    for one in findings:
        codes = [one.code, *(one.code[:size] for size in (3, 4, 5))] + [one.code[:6]] * (one.code[:6] == one.code)
        selected = not policy.select or one.code[:3] == "VER" or any(text in codes for text in policy.select)
        ignored = any(text in codes for text in policy.ignore)
        by_path = any(
            one.location.file is not None and matches(one.location.file, pattern) and text in codes
            for pattern, texts in policy.per_path_ignores
            for text in texts
        )
        assert ((one.code, one.location, one.message, one.more) in kept) == (selected and not ignored and not by_path)
    wanted = dict(policy.severity)
    assert all(f.severity == wanted.get(f.code, RULES[f.code].severity) for f in applied.findings)


# --- globs -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "matched", "others"),
    [
        ("data/*.parquet", ["data/a.parquet", "data/.parquet"], ["data/x/a.parquet", "data/a.parquet2", "x/data/a.parquet"]),
        ("data/**", ["data/a", "data/x/y/a"], ["data", "dat/a", "x/data/a"]),
        ("**", ["a", "a/b/c", ".a/.b"], []),
        ("**/a", ["a", "x/a", "x/y/a"], ["xa", "a/b"]),
        ("x/**/a", ["x/a", "x/y/a", "x/y/z/a"], ["xa", "x/ya", "y/x/a"]),
        ("**/x/**", ["x/a", "y/x/a/b"], ["x", "y/x", "a/b"]),
        ("file-00?.mp4", ["file-000.mp4", "file-00x.mp4"], ["file-00.mp4", "file-0000.mp4", "file-00/.mp4"]),
        ("a/file-00[0-2].mp4", ["a/file-001.mp4"], ["a/file-003.mp4", "a/file-00-.mp4"]),
        ("a[!b]c", ["axc"], ["abc", "a/c"]),
        ("a[/]c", [], ["a/c"]),
        ("[*]", ["*"], ["a"]),
        ("Data/a", ["Data/a"], ["data/a"]),
        ("a.b", ["a.b"], ["axb"]),
        ("a+(b)", ["a+(b)"], ["aab"]),
    ],
)  # fmt: skip
def test_globs(pattern: str, matched: list[str], others: list[str]):
    validate_pattern(pattern, "x")
    assert [path for path in matched + others if matches(path, pattern)] == matched


@pytest.mark.parametrize("pattern", ["", "/data", "data/", "data//a", "./data", "a/../b"])
def test_globs_that_match_no_path_are_refused(pattern: str):
    with pytest.raises(ConfigurationError, match="below the dataset root"):
        validate_pattern(pattern, "per-path-ignores")
    with pytest.raises(ConfigurationError, match="only as a whole segment"):
        validate_pattern("data/a**", "per-path-ignores")


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """Files of some names in every folder down to the third."""
    root = tmp_path_factory.mktemp("tree")
    folders = [root / first / second for first in ("a", "b", ".h") for second in ("a", "bc", ".")]
    for folder in {root, *folders}:
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("f", "f0", "f.x", ".x", "[", "*"):
            (folder / name).touch()
    files = sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())
    assert len(files) == 6 * 10
    return root, files


SEGMENTS = st.one_of(
    st.sampled_from(["**", "*", "a", "b", "bc", "f", "f*", "*x", "?", "[!a]", "[ab]", ".*"]),
    st.text("abcfx.*?[]!-0", min_size=1, max_size=4),
)


@settings(max_examples=examples(400), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(SEGMENTS, min_size=1, max_size=4).map("/".join))
@example("**")
@example("**/**/f")
@example("*/**")
def test_globs_match_what_the_standard_library_finds(tree: tuple[Path, list[str]], pattern: str):
    root, files = tree
    try:
        validate_pattern(pattern, "x")
    except ConfigurationError:
        return
    on_disk = glob.glob(pattern, root_dir=root, recursive=True, include_hidden=True)
    expected = {path for path in on_disk if not path.endswith("/")} & set(
        files
    )  # with x/** it finds x/, also for a file x
    assert {path for path in files if matches(path, pattern)} == expected


def test_many_wildcards_take_no_time():
    path = "/".join("a" * 40)
    assert not matches(path, "/".join(["**", "a"] * 30) + "/b")
    assert not matches("a" * 5000, "*a" * 30 + "b")
