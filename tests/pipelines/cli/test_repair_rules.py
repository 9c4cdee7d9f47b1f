"""`episeek rules` explains repairs, too."""

import json

import pytest

from episeek_pipelines.api import REPAIRS, RULES
from episeek_pipelines.cli.main import main


@pytest.mark.parametrize("code", ["REP008", "rep020"])
def test_a_repair_is_explained(code: str, capsys: pytest.CaptureFixture[str]):
    assert main(["rules", code]) == 0
    shown = capsys.readouterr().out
    rule = REPAIRS[code.upper()]
    assert shown.startswith(f"{rule.code}: {rule.title}\n")
    assert rule.proof in shown
    assert all(f"{answered}: {RULES[answered].problem}" in shown for answered in rule.answers)
    assert all(need in shown for need in rule.needs)


def test_repairs_are_listed_and_shown_as_json(capsys: pytest.CaptureFixture[str]):
    assert main(["rules", "REP"]) == 0
    shown = capsys.readouterr().out
    assert all(rule.title in shown for rule in REPAIRS.values())
    assert main(["rules", "--json", "REP018", "VID024"]) == 0
    assert [each["code"] for each in json.loads(capsys.readouterr().out)] == ["VID024", "REP018"]
    assert main(["rules", "REP999"]) == 2
