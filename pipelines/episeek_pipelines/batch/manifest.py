"""Read the manifest of a batch: the list of its datasets, with the destination of each result and the options of each dataset.

A manifest is one of these: a text file of URLs, a CSV or Parquet file with the columns source, destination and options, a folder
that contains datasets at any depth, or `hf://datasets/ORG` for all datasets of an organisation. The plan of a batch contains a
digest of the manifest's rows, since the manifest may change after it was read.
"""

import csv
import hashlib
import io
import json
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from episeek.errors import EpiseekError, MissingFileError
from episeek.stores.kinds import is_hub, is_local, local_path
from episeek.stores.processes.workers import map_in_threads
from episeek.stores.transports.hub.location import parse_hub_url
from episeek_pipelines.batch.errors import ManifestError
from episeek_pipelines.batch.options import BatchOptions
from episeek_pipelines.dataset.finding import find_datasets
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.publish.hub_client.organisations import dataset_names
from episeek_schemas import layout
from episeek_schemas.batch import MANIFEST_COLUMNS, REPORT_PATH

_ORGANISATION: Final = re.compile(r"hf://datasets/([^/@]+)/?")
_REQUESTS_IN_FLIGHT: Final = 16
_EXPECTED: Final = "a text file of URLs, a CSV or Parquet file, a folder of datasets, or hf://datasets/ORG"


@dataclass(frozen=True, slots=True)
class ManifestRow:
    """One entry of a manifest: a dataset of the batch."""

    source: str
    """Absolute path or URL of the dataset."""
    destination: str
    """Path of the result, relative to the folder of the batch's results."""
    options: BatchOptions


@dataclass(frozen=True, slots=True)
class Manifest:
    """The datasets of a batch, as a manifest lists them."""

    name: str
    """The path or URL of the manifest, as it was given."""
    rows: tuple[ManifestRow, ...]
    """The entries, sorted by destination."""
    left_out: tuple[str, ...] = ()
    """URLs of an organisation's dataset repositories that are no LeRobot datasets, since they have no meta/info.json."""

    @property
    def digest(self) -> str:
        """Return the SHA-256 of the rows in hex. Manifests of different kinds with the same rows have the same digest."""
        rows = [[row.source, row.destination, row.options.as_dict()] for row in self.rows]
        return hashlib.sha256(json.dumps(rows, sort_keys=True).encode()).hexdigest()


def read_manifest(manifest: str, out: str, options: BatchOptions) -> Manifest:
    """Read a manifest, and return its datasets.

    Args:
        manifest: The path or URL of the manifest. Paths in a local file are relative to the folder of the file.
        out: The folder of the results, which is not searched for datasets.
        options: The options of every dataset. The manifest may change some of them for one dataset.

    Raises:
        ManifestError: The manifest cannot be read, contains no dataset or an invalid entry, or gives two datasets the same
            destination.
        ReadError: A folder or the Hub cannot be listed.
    """
    left_out: tuple[str, ...] = ()
    if organisation := _ORGANISATION.fullmatch(manifest):
        sources, left_out = _datasets_of(organisation[1])
        found = [(source, _default_name(source), "", source) for source in sources]
    elif _is_file(manifest):
        found = list(_rows_of_file(manifest))
    else:
        found = list(_rows_of_folder(manifest, out))
    if not found:
        raise ManifestError(manifest, "no dataset", "at least one dataset", f"give {_EXPECTED}")
    rows = [ManifestRow(source, name, options.with_row(text, where=where)) for source, name, text, where in found]
    _require_names((row.destination, where) for row, (*_, where) in zip(rows, found, strict=True))
    return Manifest(manifest, tuple(sorted(rows, key=lambda row: row.destination)), left_out)


def _is_file(manifest: str) -> bool:
    if is_local(manifest):
        path = Path(local_path(manifest))
        if not path.exists():
            raise ManifestError(manifest, "no such file or folder", _EXPECTED)
        return path.is_file()
    return manifest.endswith((".csv", ".parquet", ".txt"))


# --- kinds of manifests ----------------------------------------------------------------------------------------------------------

Found = tuple[str, str, str, str]
"""Source, destination and options of one dataset, and the line or row of the manifest, for messages."""


def _rows_of_folder(manifest: str, out: str) -> Iterator[Found]:
    root = Root(os.path.abspath(local_path(manifest)) if is_local(manifest) else manifest)
    for path in find_datasets(root, without=[Root(out)]):
        source = root.join(path)
        yield source, path or _default_name(source), "", source


def _datasets_of(organisation: str) -> tuple[list[str], tuple[str, ...]]:
    """Return the URLs of an organisation's LeRobot datasets, and the URLs of its other dataset repositories."""
    urls = [f"hf://datasets/{name}" for name in dataset_names(organisation)]
    are = map_in_threads(lambda url: Root(url).exists(layout.INFO_PATH), urls, max_in_flight=_REQUESTS_IN_FLIGHT)
    pairs = list(zip(urls, are, strict=True))
    return [url for url, is_one in pairs if is_one], tuple(url for url, is_one in pairs if not is_one)


def _rows_of_file(manifest: str) -> Iterator[Found]:
    base = os.path.abspath(local_path(manifest)) if is_local(manifest) else manifest
    folder, _, name = base.rpartition("/")
    try:
        if name.endswith(".parquet"):
            rows = _parquet_rows(Root(folder or "/"), name)
        else:
            data = Root(folder or "/").read_bytes(name)
            rows = (_csv_rows if name.endswith(".csv") else _text_rows)(_decoded(data, manifest), manifest)
    except MissingFileError:
        raise ManifestError(manifest, "no such file", _EXPECTED) from None
    for place, row in rows:
        where = f"{manifest}, {place}"
        source = _source(row["source"], folder if is_local(manifest) else "", where)
        yield source, row.get("destination") or _default_name(source), row.get("options") or "", where


def _decoded(data: bytes, manifest: str) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ManifestError(manifest, "bytes that are not UTF-8 text", _EXPECTED) from None


def _text_rows(text: str, manifest: str) -> list[tuple[str, dict[str, str]]]:
    # A comment begins with # at the start of a line or after a space, so a # within a URL belongs to the URL.
    lines = ((number, re.sub(r"(^|\s)#.*", "", line).strip()) for number, line in enumerate(text.splitlines(), 1))
    return [(f"line {number}", {"source": line}) for number, line in lines if line]


def _csv_rows(text: str, manifest: str) -> list[tuple[str, dict[str, str]]]:
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    try:
        _require_columns(reader.fieldnames or (), manifest)
        rows = []
        for row in reader:
            place = f"line {reader.line_num}"
            if None in row or None in row.values():
                found = "more values than columns" if None in row else "fewer values than columns"
                raise ManifestError(f"{manifest}, {place}", found, "one value for each column")
            rows.append((place, {name: value.strip() for name, value in row.items()}))
    except csv.Error as error:
        raise ManifestError(f"{manifest}, line {reader.line_num}", str(error), "a row of CSV") from None
    return rows


def _parquet_rows(root: Root, name: str) -> list[tuple[str, dict[str, str]]]:
    with root.open_parquet(name) as file:
        _require_columns(file.schema_arrow.names, root.join(name))
        table = file.read(use_threads=False)
    for column in table.schema:
        if str(column.type) not in ("string", "large_string", "string_view", "null"):
            raise ManifestError(f"{root.join(name)}, column {column.name!r}", f"type {column.type}", "strings")
    return [
        (f"row {number}", {key: value or "" for key, value in row.items()})
        for number, row in enumerate(table.to_pylist())
    ]


def _require_columns(names: Iterable[str], manifest: str) -> None:
    names = list(names)
    if "source" not in names or not set(names) <= set(MANIFEST_COLUMNS) or len(set(names)) < len(names):
        expected = f"the column source, and optionally the columns {' and '.join(MANIFEST_COLUMNS[1:])}"
        raise ManifestError(manifest, f"the columns {', '.join(map(str, names)) or '(none)'}", expected)


# --- sources and destinations ----------------------------------------------------------------------------------------------------


def _source(text: str, folder: str, where: str) -> str:
    if not text:
        raise ManifestError(where, "no source", "a path or a URL")
    if not is_local(text):
        return text.rstrip("/")
    path = local_path(text)
    if not folder and not os.path.isabs(path):
        raise ManifestError(where, f"the relative path {text!r} in a manifest in a store", "a URL or an absolute path")
    return os.path.normpath(os.path.join(folder, path))


def _default_name(source: str) -> str:
    """Return the destination for a source without a destination in the manifest.

    The destination is the last part of the source's path or URL. For a dataset of the Hub, it is ORG/NAME, with the revision and
    the folder if the URL contains them.
    """
    if is_hub(source):
        try:
            location = parse_hub_url(source)
        except EpiseekError:
            return source.rstrip("/").rpartition("/")[2]
        revision = f"@{location.revision.replace('/', '-')}" if location.revision else ""
        return "/".join(part for part in (f"{location.repo_id}{revision}", location.prefix) if part)
    return source.rstrip("/").rpartition("/")[2]


def _require_names(destinations: Iterable[tuple[str, str]]) -> None:
    """Raise ManifestError unless the destinations are valid relative paths, all different, and none is within another."""
    taken: dict[str, Any] = {}
    for name, where in destinations:
        parts = name.split("/")
        if not name or any(part in ("", ".", "..") for part in parts) or parts[0].startswith(".") or "://" in name:
            raise ManifestError(where, f"the destination {name!r}", "a relative path below OUT that is not hidden")
        if name == REPORT_PATH:
            raise ManifestError(where, f"the destination {name!r}", "a name other than that of the batch's report")
        if name in taken:
            hint = "give the destinations in a CSV file with the columns source and destination"
            raise ManifestError(where, f"the destination {name!r}, as in {taken[name]}", "another destination", hint)
        taken[name] = where
    for name in taken:
        parts = name.split("/")
        for depth in range(1, len(parts)):
            outer = "/".join(parts[:depth])
            if outer in taken:
                found = f"the destination {name!r}, within the destination {outer!r} of {taken[outer]}"
                raise ManifestError(taken[name], found, "a destination outside all other destinations")
