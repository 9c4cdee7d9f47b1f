"""A remedy that names `episeek repair` is true: the finding is gone afterwards, or the repair refuses it by name and says why."""

import pytest

from episeek.errors import EpiseekError
from episeek_pipelines.api import REPAIRS, RULES, Execution, RepairChoice, repair
from tests.broken.case import Case
from tests.broken.catalogue import CASES
from tests.support.amount import amount_of_repairs

ANSWERED = {code for rule in REPAIRS.values() for code in rule.answers}
NAMED = [case for case in CASES if case.all_codes & ANSWERED and not (case.indexed or case.against or case.prepared)]


@pytest.mark.parametrize("case", NAMED[:: amount_of_repairs(1, 2, 200)], ids=lambda case: case.folder)
def test_a_remedy_that_names_repair_is_true(case: Case, tmp_path):
    root = tmp_path / "broken"
    case.make(root)
    try:
        result = repair(str(root), str(tmp_path / "out"), execution=Execution("sync"))
        assert result.after is not None
        if any("--picture-statistics" in found.remedy for found in result.after.findings if found.code == "STA029"):
            choice = RepairChoice(picture_statistics=True)
            result = repair(str(root), str(tmp_path / "sampled"), choice=choice, execution=Execution("sync"))
    except EpiseekError:
        # refused by name, with the file
        return
    named = {found.code for found in result.before.findings if "episeek repair" in (found.remedy or "")}
    assert result.after is not None
    left = {found.code for found in result.after.findings if "episeek repair" in (found.remedy or "")}
    if named & left:
        assert result.made.refusals, (case.folder, [found for found in result.after.findings if found.code in left])


def test_every_rule_that_a_repair_answers_says_so():
    silent = {code for code in ANSWERED if "episeek repair" not in RULES[code].remedy}
    # their findings have remedies of their own, by what was found
    assert silent <= {"INF001", "INF002", "INF003", "INF004", "VID024", "VID026", "STA029"}
