"""Every command and every piece of Python in the README and in docs/ runs, and prints what the document shows."""

import json
import re
import shlex
import shutil
import tomllib
from pathlib import Path

import pytest
import yaml

from episeek_pipelines.api import prepare
from episeek_pipelines.cli.main import main
from tests.documents.blocks import Block, blocks_of, commands_of
from tests.pipelines.remote_datasets import files_of
from tests.support.amount import full_run
from tests.support.build_index import DATA
from tests.support.hub_client import CLIENT_WARNINGS
from tests.support.publish_hub import NAME, publish_hub
from tests.support.publish_s3 import publish_s3

pytestmark = CLIENT_WARNINGS

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
LONG = frozenset({"batch.md", "publishing.md", "training.md"})
"""Documents whose commands take some seconds."""
RUN_ELSEWHERE = {
    "clusters.md": "tests/documents/test_clusters_document.py",
    "format.md": "tests/schemas/test_format_document.py",
    "python-api.md": "tests/pipelines/test_python_api.py",
}
"""Documents whose code needs more than a desk, and the tests that run it."""
LANGUAGES = {"sh", "console", "python", "toml", "yaml", "json", "text"}
REPOSITORY, STORE = "ORG/NAME", "s3://bucket/prefix"
"""Names in the documents, which stand for others here."""
SAMPLE = "av1_multifile"


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    with publish_hub(tmp_path_factory.mktemp("hub")) as running:
        yield running


@pytest.fixture(scope="module")
def s3():
    with publish_s3("documents") as store:
        yield store


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """The dataset as it is after `episeek prepare --videos copy`."""
    target = tmp_path_factory.mktemp("prepared") / SAMPLE
    prepare(str(DATA / SAMPLE), str(target), videos="copy")
    return target


@pytest.fixture
def desk(request, tmp_path, monkeypatch, hub, s3, prepared):
    """A folder as a reader has it: a clone with the sample datasets, a dataset, a folder of two, a repository, a bucket.

    The repository is prepared already where a document reads from it before it publishes.
    """
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests/data").symlink_to(DATA)
    shutil.copytree(DATA / SAMPLE, tmp_path / "my-dataset")
    (tmp_path / "my-datasets").mkdir()
    for name in ("hevc", "images"):
        (tmp_path / "my-datasets" / name).symlink_to(DATA / name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EPISEEK_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_COLOR", "1")
    document = request.node.callspec.params["document"]
    hub.start(NAME, files_of(prepared if document.name == "stores.md" else DATA / SAMPLE))
    return {REPOSITORY: NAME, STORE: s3.start(files_of(DATA / SAMPLE))}


@pytest.mark.parametrize(
    "document",
    [
        pytest.param(path, id=path.name, marks=full_run if path.name in LONG else ())
        for path in DOCUMENTS
        if path.name not in RUN_ELSEWHERE
    ],
)
def test_a_document_runs(document: Path, desk, capsys):
    names: dict[str, object] = {}
    for block in blocks_of(document):
        where = f"{document.name}, line {block.line}"
        assert block.language in LANGUAGES, f"{where}: found the language {block.language!r}"
        match block.language:
            case "python":
                exec(compile(replaced(block.text, desk), where, "exec"), names)
                capsys.readouterr()
            case "sh" | "console":
                for command, shown in commands_of(block):
                    run(replaced(command, desk), shown, where, capsys)
            case "toml":
                tomllib.loads(block.text)
            case "yaml":
                yaml.safe_load(block.text)
            case "json":
                json.loads(block.text)


def replaced(text: str, urls: dict[str, str]) -> str:
    for shown, url in urls.items():
        text = text.replace(shown, url)
    return text


def run(command: str, shown: list[str], where: str, capsys) -> None:
    program, *arguments = shlex.split(command)
    if program == "make":
        verbs = re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
        assert {word for word in arguments if "=" not in word} <= set(verbs), f"{where}: {command}"
    elif program == "pip":
        check_extras(arguments, where)
    elif program in ("git", "cd", "source", "python"):
        assert program != "python" or (ROOT / f"{arguments[1].replace('.', '/')}").exists() or arguments[0] != "-m", (
            where
        )
    else:
        assert program == "episeek", f"{where}: {command}"
        code = main(arguments)
        said = capsys.readouterr()
        assert code == 0, f"{where}: {command}\n{said.out}{said.err}"
        if shown:
            assert steady(said.out) == steady("\n".join(shown)), f"{where}: {command}"


def steady(output: str) -> list[str]:
    """Return the lines of an output without what differs between two runs: seconds, and the names of commits."""
    output = re.sub(r"\b\d+\.\d+ s\b", "0.0 s", output)
    output = re.sub(r"\b[0-9a-f]{12,40}\b", "0" * 12, output)
    return [line.rstrip() for line in output.strip().splitlines()]


def check_extras(arguments: list[str], where: str) -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert arguments[0] == "install", where
    for requirement in arguments[1:]:
        named = re.fullmatch(r"(?:episeek|\.)(?:\[([\w,]+)\])?", requirement)
        assert named, f"{where}: {requirement}"
        assert set((named[1] or "prepare").split(",")) <= set(extras), f"{where}: {requirement}"


def test_what_is_run_elsewhere_is_run_there():
    for name, test in RUN_ELSEWHERE.items():
        assert name in (ROOT / test).read_text(encoding="utf-8")


def test_links_lead_somewhere():
    for document in DOCUMENTS:
        for target in re.findall(r"\]\(([^)#\s]+)", document.read_text(encoding="utf-8")):
            if "://" not in target:
                assert (document.parent / target).exists(), f"{document.name}: {target}"


def test_nothing_but_fenced_blocks():
    """An indented block is run by nobody."""
    for document in DOCUMENTS:
        text = re.sub(r"^```.*?^```$", "", document.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
        assert not re.search(r"\n\n {4,}(?![-*\d])\S", text), document.name


def test_the_picture_is_what_its_script_draws():
    namespace: dict[str, object] = {"__name__": "picture", "__file__": str(ROOT / "docs/draw_one_request.py")}
    exec((ROOT / "docs/draw_one_request.py").read_text(), namespace)
    draw = namespace["draw"]
    assert callable(draw)
    assert (ROOT / "docs/one-request.svg").read_text(encoding="utf-8") == draw()


def test_the_blocks_of_a_document_are_found(tmp_path):
    document = tmp_path / "a.md"
    document.write_text(
        "# a\n\n```console\n$ episeek rules  # all\nVID022\n\n$ make test\n```\n\n```sh\nepiseek --help\n```\n"
    )
    first, second = blocks_of(document)
    assert (first.language, first.line) == ("console", 4)
    assert list(commands_of(first)) == [("episeek rules", ["VID022", ""]), ("make test", [])]
    assert list(commands_of(second)) == [("episeek --help", [])]
    assert list(commands_of(Block("sh", "", 1))) == []


def test_the_tree_is_as_it_is():
    namespace: dict[str, object] = {"__name__": "tree", "__file__": str(ROOT / "docs/write_tree.py")}
    exec((ROOT / "docs/write_tree.py").read_text(), namespace)
    document = namespace["document"]
    assert callable(document)
    assert (ROOT / "docs/development.md").read_text(encoding="utf-8") == document(), "run python docs/write_tree.py"
