"""The errors of publishing keep their fields when they are pickled."""

import pickle

import pytest

from episeek_pipelines.publish.errors import ArrivalProblem, ConflictError, OptionsError, RefusedPublicationError
from episeek_pipelines.publish.hub.options import PublishOptions


def test_a_conflict_keeps_its_head_and_its_hint():
    error = ConflictError("hf://datasets/a/b", "commit 2", "commit 1", "2", "run this again")
    copy = pickle.loads(pickle.dumps(error))
    assert (copy.where, copy.found, copy.expected, copy.head, copy.hint) == (
        "hf://datasets/a/b",
        "commit 2",
        "commit 1",
        "2",
        "run this again",
    )
    assert str(copy) == "hf://datasets/a/b: found commit 2; expected commit 1; hint: run this again"


def test_a_refused_publication_keeps_its_differences():
    problem = ArrivalProblem("data/x.parquet", "1 bytes", "2 bytes")
    error = RefusedPublicationError("s3://a/b", "other files", "what was sent", problems=(problem,))
    copy = pickle.loads(pickle.dumps(error))
    assert (str(copy), copy.problems, copy.verification) == (str(error), (problem,), None)
    assert str(problem) == "data/x.parquet: found 1 bytes; expected 2 bytes"


@pytest.mark.parametrize(
    ("options", "name"),
    [({"create_pr": True, "branch": "next"}, "create_pr"), ({"private": True}, "private"), ({"tag": "a..b"}, "tag")],
)
def test_an_options_error_has_the_name_of_the_option(options, name):
    with pytest.raises(OptionsError) as caught:
        PublishOptions(**options)
    assert isinstance(caught.value, ValueError)
    assert caught.value.where == name
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)
