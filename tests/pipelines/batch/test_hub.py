"""All datasets of an organisation, prepared from the Hub or published onto it."""

from pathlib import Path

import pytest

from episeek_pipelines.batch.ledger import Ledger
from episeek_pipelines.batch.manifest import read_manifest
from episeek_pipelines.batch.options import BatchOptions
from episeek_pipelines.batch.plan import batch_plan
from episeek_pipelines.batch.run import batch_run
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.jobs.graph import Execution
from tests.pipelines.remote_datasets import files_of
from tests.support.amount import IS_FULL
from tests.support.build_index import DATA
from tests.support.hub_client import CLIENT_WARNINGS
from tests.support.many_datasets import plain_dataset
from tests.support.publish_hub import SMALL, PublishHub, publish_hub

pytestmark = CLIENT_WARNINGS

SERIAL = Execution("sync")


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory):
    with publish_hub(tmp_path_factory.mktemp("hub")) as running:
        yield running


@pytest.fixture
def organisation(hub: PublishHub, tmp_path: Path) -> PublishHub:
    """Two datasets, one of them with videos, a private one, a repository that is none, and one of somebody else."""
    plain_dataset(tmp_path / "plain")
    plain = files_of(tmp_path / "plain")
    hub.start("acme/ds", files_of(DATA / SMALL))
    hub.hub.add_dataset("acme/plain", plain)
    hub.hub.add_tag("acme/plain", "v3.0")
    hub.hub.add_dataset("acme/weights", {"README.md": b"# no dataset\n"})
    hub.hub.add_dataset("other/plain", plain)
    return hub


def test_an_organisation_is_a_manifest(organisation: PublishHub, tmp_path: Path):
    found = read_manifest("hf://datasets/acme", str(tmp_path / "out"), BatchOptions())
    assert [(row.source, row.destination) for row in found.rows] == [
        ("hf://datasets/acme/ds", "acme/ds"),
        ("hf://datasets/acme/plain", "acme/plain"),
    ]
    assert found.left_out == ("hf://datasets/acme/weights",)


def test_figures_of_requests_are_near_what_happens(organisation: PublishHub, tmp_path: Path):
    out = str(tmp_path / "out")
    plan = batch_plan("hf://datasets/acme", out, is_measured=False, execution=SERIAL).plan
    organisation.hub.clear()
    assert batch_run("hf://datasets/acme", out, execution=SERIAL).counts == {"done": 2}
    asked = len(organisation.hub.exchanges())
    expected = sum(row.requests for row in plan.datasets)
    assert expected / 3 < asked < expected * 3
    organisation.hub.clear()
    assert batch_run("hf://datasets/acme", out, execution=SERIAL).counts == {"unchanged": 2}
    # of each dataset a listing
    assert not [exchange for exchange in organisation.hub.exchanges() if exchange.server == "cdn"]


@pytest.mark.parametrize("create_pr", [False, True] if IS_FULL else [False])
def test_published_once(create_pr: bool, organisation: PublishHub, tmp_path: Path):
    out, options = str(tmp_path / "out"), BatchOptions(publish=True, create_pr=create_pr)
    heads = {name: organisation.hub.head(f"acme/{name}") for name in ("ds", "plain", "weights")}
    assert batch_run("hf://datasets/acme", out, options=options, execution=SERIAL).counts == {"done": 2}
    moved = {name for name, head in heads.items() if organisation.hub.head(f"acme/{name}") != head}
    assert moved == (set() if create_pr else {"ds", "plain"})
    for row in Ledger(Root(out)).rows().values():
        assert ("discussions" in row.url) == create_pr
        assert row.has_page
    # what was published is no change of the source
    before = {name: organisation.hub.head(f"acme/{name}") for name in heads}
    assert batch_run("hf://datasets/acme", out, options=options, execution=SERIAL).counts == {"unchanged": 2}
    assert {name: organisation.hub.head(f"acme/{name}") for name in heads} == before
    if not create_pr:
        # another batch finds all of it there
        again = batch_run("hf://datasets/acme", str(tmp_path / "other"), options=options, execution=SERIAL)
        assert again.counts == {"current": 2}


def test_only_repositories_can_be_published_onto(organisation: PublishHub, tmp_path: Path):
    plain_dataset(tmp_path / "many/one")
    result = batch_run(
        str(tmp_path / "many"), str(tmp_path / "out"), options=BatchOptions(publish=True), execution=SERIAL
    )
    assert result.counts == {"refused": 1}
