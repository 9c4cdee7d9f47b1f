"""Output and exit codes of `episeek publish` onto a repository."""

import argparse
import json
import os
import shutil

from episeek_pipelines.cli import main
from episeek_pipelines.cli.commands import publish
from tests.pipelines.conftest import DATA
from tests.pipelines.publish.overlays import cut_one_data_file, prepared
from tests.pipelines.remote_datasets import files_of
from tests.servers.faults import Fault
from tests.servers.hub import TOKEN
from tests.support.amount import full_run
from tests.support.hub_client import CLIENT_WARNINGS
from tests.support.publish_hub import NAME, SMALL, publish_in_process

pytestmark = CLIENT_WARNINGS


def run(capsys, *arguments):
    code = main.main(["publish", *arguments])
    said = capsys.readouterr()
    assert TOKEN not in said.out + said.err
    return code, said.out.splitlines(), said.err.splitlines()


def test_what_the_command_says(hub, capsys):
    overlay, root = prepared(SMALL).url, ("--data-root", str(DATA / SMALL))
    code, out, err = run(capsys, overlay, NAME, *root, "--dry-run")
    assert (code, err) == (0, [])
    assert hub.is_untouched
    words = [line.split()[0] for line in out]
    assert words[:3] == ["verify", "base", "change"]
    assert any(line.startswith("episodes ") and line.endswith(" equal, according to the metadata") for line in out)
    assert "add      meta/byte_index/files.parquet" in "\n".join(out)
    assert out[-1].startswith("done     nothing was sent (--dry-run)")
    code, out, err = run(capsys, overlay, NAME, *root, "--message", "mine")
    assert (code, err) == (0, [])
    assert [line.split()[0] for line in out] == ["verify", "base", "change", "send", "arrival", "tag", "done"]
    assert out[3] == f"send     commit {hub.head}"
    assert out[5] == f"tag      v3.0 moved to {hub.head}"
    assert hub.hub.repository(NAME).commits[hub.head].title == "mine"
    code, out, err = run(capsys, overlay, f"hf://datasets/{NAME}", *root, "--no-verify", "--quiet")
    assert (code, out) == (0, [])
    assert err == [f"episeek: {publish.notices(argparse.Namespace(no_verify=True))[0]}"]
    code, out, err = run(capsys, overlay, NAME, *root, "--json")
    document = json.loads("\n".join(out))
    assert (code, err) == (0, [])
    assert (document["commit"], document["is_new"], document["added"]) == (hub.head, False, [])
    code, out, _ = run(capsys, overlay, NAME, *root, "--tag", "v3.1", "--no-verify")
    assert out[-2] == f"tag      v3.1 moved to {hub.head}"
    code, out, _ = run(capsys, overlay, NAME, *root, "--no-tag", "--no-verify")
    assert out[-2] == "tag      none moved (--no-tag)"
    assert out[3] == f"send     nothing: commit {hub.head} already contains all files"


def test_the_exit_codes(hub, capsys, tmp_path):
    overlay, root = prepared(SMALL).url, ("--data-root", str(DATA / SMALL))
    shutil.copytree(overlay, tmp_path / "overlay")
    cut_one_data_file(tmp_path / "overlay")
    code, out, (said,) = run(capsys, str(tmp_path / "overlay"), NAME, *root)
    assert (code, out) == (1, [])
    assert said.startswith("episeek: error: ")
    code, out, (said,) = run(capsys, str(tmp_path / "overlay"), NAME, *root, "--json")
    document = json.loads("\n".join(out))
    refused = document["refused"]
    assert code == 1
    assert said.startswith(
        f"episeek: error: {refused['where']}: found {refused['found']}; expected {refused['expected']}"
    )
    assert refused["hint"].endswith("--no-verify")
    assert document["report"]["findings"]
    assert document["differences"] == []
    for target in ("acme/none", "hf://models/acme/x"):
        code, out, (said,) = run(capsys, overlay, target, *root)
        assert (code, out) == (2, [])
    code, out, (said,) = run(capsys, overlay, NAME, *root, "--private")
    assert (code, said) == (
        2,
        "episeek: error: --private: found private without create; expected both options, to create a private repository",
    )
    assert hub.is_untouched


def test_the_token_is_not_said(hub, capsys, tmp_path):
    """The Hub repeats the token in an error."""
    body = json.dumps({"error": f"who is {TOKEN}?"}).encode()
    headers = {"X-Error-Message": f"who is {TOKEN}?", "Content-Type": "application/json"}
    for method, path in (("POST", "/commit/"), ("DELETE", "/tag/"), ("GET", "/tree/"), ("POST", "/preupload/")):
        hub.start(NAME, files_of(DATA / SMALL))
        hub.hub.inject(Fault("status", status=403, method=method, path=path, headers=headers, body=body, times=99))
        code, out, said = run(capsys, prepared(SMALL).url, NAME, "--data-root", str(DATA / SMALL), "--no-verify")
        assert (code, out) == (2, [])
        assert "HTTP 403: who is ***?" in said[-1]


@full_run
def test_a_quiet_command_says_nothing(hub, tmp_path):
    environment = {**os.environ, **hub.hub.environment(tmp_path)}
    del environment["HF_HUB_DISABLE_PROGRESS_BARS"]
    process = publish_in_process(prepared(SMALL).url, NAME, source=SMALL, environment=environment)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (0, "")
    assert [line for line in err.splitlines() if "WARNING: --no-verify" not in line] == []
    assert hub.tag == hub.head
