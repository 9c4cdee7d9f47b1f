from graphlib import TopologicalSorter
from pathlib import Path

from episeek_pipelines.api import REPAIRS, RULES

DOCUMENT = Path(__file__).parents[2] / "docs/repair.md"


def rows() -> list[str]:
    return [
        f"| {rule.code} | {rule.title} | {rule.proof} | {', '.join(rule.answers)} | {', '.join(rule.needs)} |"
        for rule in REPAIRS.values()
    ]


def test_the_table_is_that_of_the_registry():
    text = DOCUMENT.read_text(encoding="utf-8")
    table = text.partition("<!-- repairs -->\n")[2].partition("<!-- /repairs -->")[0]
    assert table.strip().splitlines()[2:] == rows()


def test_repairs_need_existing_repairs_and_not_each_other():
    order = [*TopologicalSorter({code: rule.needs for code, rule in REPAIRS.items()}).static_order()]
    assert {*order} == {*REPAIRS}


def test_repairs_answer_rules_that_exist():
    assert {code for rule in REPAIRS.values() for code in rule.answers} <= RULES.keys()
