import pickle

import pytest

from tests.servers.faults import FAULT_KINDS, Fault, FaultPlan


def taken(plan: FaultPlan, *, path: str = "/a", method: str = "GET", server: str = "", is_ranged: bool = False) -> str:
    fault = plan.take(server=server, method=method, path=path, is_ranged=is_ranged)
    return "" if fault is None else fault.kind


def test_after_and_times_count_matching_requests():
    plan = FaultPlan()
    plan.inject(Fault("drop", path="/a$", after=1, times=2))
    assert [taken(plan, path=path) for path in ("/a", "/b", "/a", "/a", "/a")] == ["", "", "drop", "drop", ""]


def test_method_server_and_range_must_match():
    plan = FaultPlan()
    plan.inject(Fault("drop", method="GET|PUT", server="cdn", ranged_only=True, times=9))
    assert taken(plan, server="cdn", is_ranged=True) == "drop"
    assert taken(plan, server="cdn", is_ranged=True, method="POST") == ""
    assert taken(plan, server="hub", is_ranged=True) == ""
    assert taken(plan, server="cdn") == ""


def test_gone_lasts_until_cleared():
    plan = FaultPlan()
    plan.inject(Fault("gone", path="/a"))
    assert [taken(plan, path=path) for path in ("/b", "/a", "/b")] == ["", "gone", "gone"]
    plan.clear()
    assert taken(plan) == ""


def test_random_faults_repeat_with_their_seed():
    def sequence(seed: int) -> list[str]:
        plan = FaultPlan()
        plan.randomly(0.5, ["drop", Fault("stall", seconds=1)], seed)
        return [taken(plan) for _ in range(2000)]

    assert sequence(1) == sequence(1) != sequence(2)
    for kind, expected_count in (("", 1000), ("drop", 500), ("stall", 500)):
        assert abs(sequence(1).count(kind) - expected_count) < 100  # about five standard deviations


def test_a_kind_that_does_not_exist_is_refused():
    with pytest.raises(ValueError, match="no fault kind"):
        Fault("nothing")  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", FAULT_KINDS)
def test_faults_travel_between_processes(kind):
    assert pickle.loads(pickle.dumps(Fault(kind, path="x"))) == Fault(kind, path="x")
