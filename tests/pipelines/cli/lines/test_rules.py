import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from episeek_pipelines.cli.lines.rules import (
    FAMILY_TITLES,
    LEVEL_MEANINGS,
    _markdown,
    rule_lines,
    rule_page,
    rules_json,
    rules_markdown,
)
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.verify import LEVELS, RULES
from episeek_pipelines.verify.settings.configuration import configure
from episeek_pipelines.verify.settings.rule_codes import ALWAYS_COUNTED, FAMILIES, ConfigurationError


def test_every_family_and_level_has_its_words():
    assert sorted(FAMILY_TITLES) == sorted(FAMILIES)
    assert tuple(LEVEL_MEANINGS) == LEVELS


def test_the_lines_have_every_rule_once_below_its_family():
    family, codes = "", []
    lines = list(rule_lines())
    for line, following in zip(lines, [*lines[1:], ""], strict=True):
        if line.startswith("   "):
            continue
        if line.startswith("  "):
            code, severity, level, problem = line.split(maxsplit=3)
            rule = RULES[code]
            assert (severity, level, problem) == (rule.severity, rule.level, rule.problem)
            assert following.strip() == f"expected: {rule.invariant}"
            assert code.startswith(family)
            codes.append(code)
        elif line:
            family, _, title = line.partition(": ")
            assert title == FAMILY_TITLES[family]
    assert sorted(codes) == sorted(RULES)
    starts = {line.index(f"  {RULES[line.split()[0]].problem}") for line in lines if re.match("  [A-Z]", line)}
    assert starts == {line.index("  expected: ") for line in lines if line.startswith("   ")}
    assert len(starts) == 1, "a table"


def test_a_page_says_everything_about_a_rule():
    assert rule_page("VID024") == (
        "VID024: [from_timestamp, to_timestamp) does not contain exactly the episode's frames\n"
        "  expected: [from_timestamp, to_timestamp) contains exactly the episode's frames, at multiples of 1/fps\n"
        "  severity: error\n"
        "  level:    layout or higher: needs Parquet footers and video headers\n"
        "  protects: the right pictures for an episode: no reader notices when they are one frame off\n"
        "  remedy:   set the episode's from_timestamp and to_timestamp to the times of its own frames in the file; never compute "
        "them from lengths, since that hides frames of no episode\n"
        "  broke in: lerobot#2627, lerobot#3177, lerobot#2550, lerobot#4109\n"
        "  see also: VID024W: from_timestamp differs from the time of the episode's first frame\n"
        '  ignore:   --ignore VID024, or in episeek.toml ignore = ["VID024"]; for some files '
        'per-path-ignores = {"videos/**" = ["VID024"]}'
    )
    for code, rule in RULES.items():
        page = rule_page(code)
        titles = (code, rule.problem, rule.invariant)
        assert all(text in page for text in (*titles, rule.severity, rule.protects, rule.remedy, rule.broke_in))
        assert ("harmless: in videos that the sidecars index" in page) == bool(rule.moot_because)
        assert ("broke in" in page) == bool(rule.broke_in)
        assert f"\n  level:    {rule.level}" in page
        assert rule_page(f" {code.lower()}") == page
    assert "see also: VID024: " in rule_page("VID024W")
    assert "see also" not in rule_page("VID039")


@pytest.mark.parametrize("code", sorted(RULES))
def test_the_advice_of_a_page_on_ignoring_works(code: str, tmp_path: Path):
    line = rule_page(code).splitlines()[-1]
    root = Root(str(tmp_path))
    if code in ALWAYS_COUNTED:
        assert "not possible: VER000 and VER001 always count" in line
        with pytest.raises(ConfigurationError, match="proves nothing"):
            configure(root, ignore=[code])
        return
    option = re.search(r"--ignore (\w+)", line)
    assert option is not None
    assert configure(root, ignore=[option[1]]).policy.ignore == (code,)
    texts = re.findall(r"(?:per-path-ignores|(?<!-)ignore) = \S+(?: = \S+)?", line)
    assert len(texts) == (2 if code[:3] in ("ROW", "VID", "IDX") else 1)
    for text in texts:
        (tmp_path / "episeek.toml").write_text(text.rstrip(";"))
        policy = configure(root).policy
        assert policy.ignore == (code,) or [codes for _, codes in policy.per_path_ignores] == [(code,)]


@pytest.mark.parametrize(("text", "suggestion"), [("vid24", "VID024"), ("ROW17", "ROW017"), ("VID024X", "VID024")])
def test_an_unknown_code_is_an_error_that_suggests_one(text: str, suggestion: str):
    with pytest.raises(ConfigurationError, match=rf"CODE: found '{text}' \(did you mean {suggestion}W?\?\); expected"):
        rule_page(text)


def test_json_has_every_rule():
    rules = json.loads(json.dumps(rules_json()))
    codes = [line.split()[0] for line in rule_lines() if re.match("  [A-Z]", line)]
    assert [entry["code"] for entry in rules] == codes
    assert [entry["code"] for entry in rules if not entry["can_be_ignored"]] == ["VER000", "VER001"]
    for entry in rules:
        rule = RULES[entry["code"]]
        assert entry["name"] == rule.invariant
        assert {name: entry[name] for name in entry if name not in ("family", "can_be_ignored", "name")} == {
            name: getattr(rule, name) for name in rule.__slots__ if name != "invariant"
        }
        assert rule.code.startswith(entry["family"])


def test_json_has_the_rules_of_codes_and_families():
    assert [entry["code"] for entry in rules_json(["vid024"])] == ["VID024"]
    assert {entry["code"] for entry in rules_json(["tsk", "VID024W"])} == {"TSK014", "TSK047", "VID024W"}
    with pytest.raises(ConfigurationError, match="CODE"):
        rules_json(["VID99"])


def test_markdown_has_a_row_of_seven_cells_for_each_rule():
    lines = rules_markdown().splitlines()
    rows = [re.split(r"(?<!\\)\|", line)[1:-1] for line in lines]
    assert {len(row) for row in rows} == {7}
    assert [row[0].strip() for row in rows[2:]] == [entry["code"] for entry in rules_json()]
    assert set("".join(rows[1])) == {" ", "-"}
    unescaped = re.sub(r"\\(.)", r"\1", rules_markdown())
    assert all(t in unescaped for rule in RULES.values() for t in (rule.problem, rule.invariant, rule.protects))


def test_markup_in_a_cell_is_escaped_but_not_in_code():
    assert _markdown("data/*/*.parquet | [a](b) `x*|y` c_d") == r"data/\*/\*.parquet \| \[a\](b) `x*\|y` c\_d"


WITHOUT_OFFLINE_PACKAGES = """
import sys
for name in ("av", "dask", "distributed", "jinja2", "markupsafe", "pandera", "tqdm", "yaml", "huggingface_hub"):
    sys.modules[name] = None  # an import of it fails
from episeek_pipelines.cli.main import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize(
    "arguments", [["rules"], ["rules", "VID024"], ["rules", "--json"], ["--help"], ["verify", "--help"]]
)
def test_rules_and_help_need_no_offline_package(arguments: list[str]):
    program = [sys.executable, "-c", WITHOUT_OFFLINE_PACKAGES, *arguments]
    done = subprocess.run(program, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout
