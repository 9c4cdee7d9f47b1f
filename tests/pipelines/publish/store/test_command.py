"""The output of `episeek publish` for stores."""

import json
import shutil

import pyarrow.parquet as pq
import pytest

from episeek_pipelines.cli import main
from episeek_schemas import layout
from tests.pipelines.conftest import DATA
from tests.pipelines.publish.overlays import prepared
from tests.pipelines.publish.store.test_publish import DATA_PATH, NAME
from tests.support.edited_datasets import rename_task

ROOT = ("--data-root", str(DATA / NAME))


@pytest.fixture
def there(tmp_path):
    """A copy of the dataset, and its URL."""
    shutil.copytree(DATA / NAME, tmp_path / "there")
    return tmp_path / "there", f"file://{tmp_path}/there"


def run(capsys, *arguments):
    code = main.main(["publish", *arguments])
    said = capsys.readouterr()
    return code, said.out.splitlines(), said.err.splitlines()


def test_the_lines_and_json_of_the_command(there, capsys):
    root, url = there
    overlay = prepared(NAME).url
    code, out, err = run(capsys, overlay, url, *ROOT, "--dry-run")
    assert (code, err) == (0, [])
    assert [line.split()[0] for line in out[:3]] == ["verify", "base", "change"]
    assert "episodes 4 equal, according to the metadata" in out
    assert "add      meta/byte_index/files.parquet" in "\n".join(out)
    assert out[-1].startswith("done     nothing was sent (--dry-run)")
    assert not (root / layout.BYTE_INDEX_DIR).exists()
    code, out, err = run(capsys, overlay, url, *ROOT, "--no-tag")
    assert (code, err) == (0, [])
    assert [line.split()[0] for line in out] == ["verify", "base", "change", "send", "switch", "arrival", "done"]
    assert out[3].startswith("send     6 files, ")
    assert out[4] == "switch   done"
    code, out, err = run(capsys, overlay, url, *ROOT, "--json", "--no-verify")
    document = json.loads("\n".join(out))
    assert (code, document["is_new"], document["added"], document["sent"]) == (0, False, [], 0)
    assert err[0].startswith("episeek: WARNING: --no-verify")
    code, out, err = run(capsys, overlay, url, *ROOT, "--no-verify", "--quiet")
    assert (code, out) == (0, [])
    code, out, _ = run(capsys, overlay, url, *ROOT, "--no-verify", "--sidecars-only")
    assert out[0] == "verify   skipped (--no-verify)"
    assert out[3] == "send     nothing: the store already contains all files"


def test_a_dry_run_says_which_episodes_change(there, tmp_path, capsys):
    root, url = there
    overlay = shutil.copytree(prepared(NAME).url, tmp_path / "overlay")
    texts = pq.read_table(root / "meta/episodes/chunk-000/file-000.parquet")["tasks"].to_pylist()
    rename_task(overlay, texts[0][0], "something else")
    changed = [number for number, text in enumerate(texts) if text == texts[0]]
    arguments = (str(overlay), url, *ROOT, "--no-verify", "--dry-run", "--overwrite")
    _, out, _ = run(capsys, *arguments)
    counts = f"episodes {len(texts) - len(changed)} equal, {len(changed)} changed, according to the metadata; A is the target"
    assert any(line.startswith(counts) for line in out)
    assert any(line.strip().startswith('tasks: "something else": only in B') for line in out)
    _, out, _ = run(capsys, *arguments, "--json")
    comparison = json.loads("\n".join(out))["comparison"]
    assert (comparison["is_different"], comparison["changed"]) == (True, changed)


def test_rows_that_move_are_mentioned(there, capsys):
    root, url = there
    shutil.copyfile(root / DATA_PATH, root / "data/chunk-000/file-001.parquet")
    _, out, _ = run(capsys, prepared(NAME).url, url, *ROOT, "--no-verify", "--dry-run", "--overwrite")
    told = "note     rows move to other data files; during the switch, readers may see some rows twice"
    assert any(line.startswith(told) for line in out)
    assert "delete   data/chunk-000/file-001.parquet" in out


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--branch", "next"], "--branch"),
        (["--create-pr"], "--create-pr"),
        (["--private", "--create"], "--private"),
        (["--tag", "v3.0"], "--tag"),
        (["--message", "m"], "--message"),
        (["--base", "main", "--message", "m"], "--base, --message"),
    ],
)
def test_options_of_repositories_are_refused(options, named, there, capsys):
    _, url = there
    code, out, (said,) = run(capsys, prepared(NAME).url, url, *ROOT, *options)
    assert (code, out) == (2, [])
    assert said == f"episeek: error: {named}: found with {url}; expected a repository of the Hub"


def test_the_exit_codes(there, tmp_path, capsys):
    _, url = there
    shutil.copytree(prepared(NAME).local, tmp_path / "overlay")
    broken = tmp_path / "overlay" / DATA_PATH
    broken.write_bytes(broken.read_bytes()[:-8])
    code, out, (said,) = run(capsys, str(tmp_path / "overlay"), url, *ROOT)
    assert (code, out) == (1, [])
    assert said.startswith("episeek: error: ")
    code, out, (said,) = run(capsys, prepared(NAME).url, f"{url}/nothing", *ROOT)
    assert (code, out) == (2, [])
    assert "with --create" in said
