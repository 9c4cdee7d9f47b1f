"""`episeek verify` opens each file once, and fetches only headers and footers of a store's files where rows are not read."""

import mmap
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from episeek.mp4.header import read_header
from episeek.stores.transports.local import LocalSource
from episeek_pipelines.jobs.graph import Execution
from episeek_pipelines.jobs.prepare import prepare
from episeek_pipelines.jobs.verify import verify
from episeek_pipelines.verify import VerifyOptions
from episeek_schemas import layout
from episeek_schemas.layout import SOURCE_RECORD_DIR, SOURCE_RECORD_PATH
from tests.pipelines.remote_datasets import Datasets, files_of, hub_datasets, s3_datasets
from tests.servers.faults import Exchange, Fault
from tests.support.amount import amount, every, first, full_run
from tests.support.broken_datasets import EPISODES, TOP, collapse, copy_of, data, set_value, video
from tests.support.large_video import make_large_video
from tests.support.opened_files import counting_opens

KIB = 1 << 10
TAIL_BYTES = PROBE_BYTES = 64 * KIB
SAMPLE_BYTES = 4 * KIB
SMALL_FILES = (layout.INFO_PATH, layout.TASKS_PATH, layout.STATS_PATH)


def options(level):
    return VerifyOptions(level=level)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """Return a source and its prepared dataset, which has more data files and all videos."""
    folder = tmp_path_factory.mktemp("prepared")
    source = copy_of("av1_multifile", folder, name="source")
    collapse(source, data(0))
    prepare(str(source), str(folder / "out"), videos="copy", max_episodes_per_file=2)
    return source, folder / "out"


# --- on this machine ------------------------------------------------------------------------------------------------------------


def test_openings_are_counted_for_every_library(tmp_path):
    paths = [tmp_path / name for name in ("python", "arrow", "mapped", "twice", "nested", "never")]
    for path in paths:
        pq.write_table(pa.table({"a": [1]}), path)
    with counting_opens(tmp_path) as counts:
        paths[0].read_bytes()
        pq.ParquetFile(pa.OSFile(str(paths[1]))).read()
        with open(paths[2], "rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ):
            pass
        paths[3].read_bytes()
        paths[3].read_bytes()
        with pq.ParquetFile(pa.OSFile(str(paths[4]))) as outer, pq.ParquetFile(pa.OSFile(str(paths[4]))) as inner:
            assert outer.metadata == inner.metadata
    assert counts == {paths[0]: 1, paths[1]: 1, paths[2]: 1, paths[3]: 2, paths[4]: 2}


def expected_openings(root: Path, level: str) -> set[Path]:
    """Return the files that a level opens."""
    wanted = {path for path in (root / "meta").rglob("*") if path.is_file() and "byte_index" not in path.parts}
    wanted |= {path for path in [root / SOURCE_RECORD_PATH] if path.exists()}
    if level != "meta":
        wanted |= {path for path in root.rglob("*") if path.is_file() and SOURCE_RECORD_DIR not in path.parts}
    return wanted


def check_openings(counts: Counter[Path], expected: set[Path], *, twice: frozenset[Path] = frozenset()) -> None:
    """Check that each file was opened once; MP4s up to three times, since a local source opens the file for each read."""
    assert set(counts) == expected
    videos = {path for path in expected if path.suffix == ".mp4"}
    once = {path: 1 + (path in twice) for path in expected - videos}
    assert {path: counts[path] for path in expected - videos} == once
    assert all(counts[path] <= 3 for path in videos)


@pytest.mark.parametrize("scheduler", ["sync", "threads"])
@pytest.mark.parametrize("level", ["meta", "layout", "rows"])
@pytest.mark.parametrize("is_indexed", [False, True], ids=["plain", "indexed"])
def test_each_file_is_opened_once(is_indexed, level, scheduler, tmp_path):
    root = copy_of("av1_multifile", tmp_path, indexed=is_indexed)
    with counting_opens(root) as counts:
        report = verify(str(root), options=options(level), execution=Execution(scheduler))
    assert report.is_clean
    check_openings(counts, expected_openings(root, level))


@pytest.mark.parametrize("scheduler", ["sync", "threads"])
@pytest.mark.parametrize("level", ["meta", "layout", "rows"])
def test_each_file_is_opened_once_with_a_source(level, scheduler, prepared):
    source, out = prepared
    with counting_opens(out, source) as counts:
        report = verify(str(out), against=str(source), options=options(level), execution=Execution(scheduler))
    assert report.is_clean
    of_source = {path for path in expected_openings(source, level) if "videos" not in path.parts}
    if level == "layout":  # rows are not compared
        of_source -= {path for path in of_source if "data" in path.relative_to(source).parts}
    expected = expected_openings(out, level)
    assert any(path.name == "file-003.parquet" for path in expected) == (level != "meta")  # some sources are split
    # the version of the source, and the episodes of it that were left out, are known before anything else is read
    first = frozenset({source / layout.INFO_PATH, out / SOURCE_RECORD_PATH})
    check_openings(counts, expected | of_source, twice=first)


@pytest.mark.parametrize("level", ["layout", "rows"])
def test_each_file_is_opened_once_whatever_is_wrong_with_it(level, tmp_path):
    root = copy_of("av1_multifile", tmp_path, indexed=True)
    set_value(root, EPISODES, "data/file_index", 3, 0)
    set_value(root, data(1), "index", 40, 4)
    (root / data(2)).write_bytes((root / data(2)).read_bytes()[:-20])
    (root / video(TOP, 1)).write_bytes((root / video(TOP, 1)).read_bytes()[:3000])
    (root / layout.STATS_PATH).write_text("[")
    with counting_opens(root) as counts:
        report = verify(str(root), options=options(level), execution=Execution("sync"))
    assert report.error_count >= 3
    # read again, block by block, for the episodes that can be recovered
    assert counts.pop(root / data(2)) >= 1
    check_openings(counts, expected_openings(root, level) - {root / data(2)})


# --- in stores ------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def s3():
    with s3_datasets("opened-once") as datasets:
        yield datasets


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    with hub_datasets(tmp_path_factory.mktemp("hub")) as datasets:
        yield datasets


@pytest.fixture(params=["s3", "hub"])
def store(request, tmp_path, monkeypatch):
    monkeypatch.setenv("EPISEEK_CACHE", str(tmp_path / "cache"))
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="module")
def indexed(tmp_path_factory):
    return copy_of("av1_multifile", tmp_path_factory.mktemp("indexed"), indexed=True)


def ranges_of(exchanges: list[Exchange], size: int) -> list[tuple[int, int]]:
    """Return `[start, stop)` of each request; the whole file for requests without a range."""
    found = []
    for exchange in exchanges:
        match = re.fullmatch(r"bytes=(\d+)-(\d+)", exchange.range_header)
        found.append((int(match[1]), int(match[2]) + 1) if match else (0, size))
    return sorted(found)


def times_fetched(exchanges: list[Exchange], size: int) -> int:
    """Return how many times the most fetched byte was fetched."""
    steps = sorted(step for start, stop in ranges_of(exchanges, size) for step in ((start, 1), (stop, -1)))
    return int(np.cumsum([step for _, step in steps]).max(initial=0))


def fetched(store: Datasets, path: str, content: bytes) -> list[Exchange]:
    asked = store.ranges_of(path, content)
    if path.endswith(".mp4"):
        # the first bytes of a sample may lie in what was read to find the header
        assert sum(e.sent_bytes for e in asked) <= covered(asked, len(content)) + SAMPLE_BYTES, path
    else:
        assert times_fetched(asked, len(content)) <= 1, path
    return asked


def covered(exchanges: list[Exchange], size: int) -> int:
    """Return how many bytes were fetched once or more."""
    count = end = 0
    for start, stop in sorted(ranges_of(exchanges, size)):
        count += max(stop - max(start, end), 0)
        end = max(end, stop)
    return count


def check_questions(store: Datasets, files: dict[str, bytes], opened: set[str]) -> None:
    """Check that the Hub resolves each opened file once, and that S3 is not asked for what its listing has."""
    sidecars = {path for path in files if path.startswith(layout.BYTE_INDEX_DIR)}
    for path in files:
        asked = store.questions_about(path)
        if path in sidecars:  # which version it is decides whether a kept copy is used; the Hub's client asks as well
            assert len(asked) <= (2 if store.kind == "hub" else 1), path
        else:
            assert len(asked) == (1 if store.kind == "hub" and path in opened else 0), path
    for directory in ("meta", "data", "videos"):
        assert len(store.listings_of(directory)) == 1
    of_files = {e for path in files for e in (*store.questions_about(path), *store.ranges_of(path, files[path]))}
    others = [e.path for e in store.exchanges() if e.method == "HEAD" and e not in of_files]
    assert len(others) == 1  # whether there is a card, which no listing holds
    assert others[0].endswith(f"/{layout.CARD_PATH}")


def header_bytes(root: Path, path: str) -> int:
    return len(read_header(LocalSource(str(root)), path).moov)


def footer_bytes(root: Path, path: str) -> int:
    return int(pq.ParquetFile(root / path).metadata.serialized_size)


def check_level(store: Datasets, root: Path, files: dict[str, bytes], level: str, *, video_requests: int = 3) -> int:
    """Check the requests and bytes of each file; return the bytes of all files."""
    sidecars = {path for path in files if path.startswith(layout.BYTE_INDEX_DIR)}
    parquet = {path for path in files if path.startswith("data/")}
    videos = {path for path in files if path.endswith(".mp4")}
    looked_at = {*SMALL_FILES, EPISODES} | (set() if level == "meta" else sidecars | parquet | videos)
    assert looked_at <= set(files)
    total = 0
    for path, content in files.items():
        asked = fetched(store, path, content)
        byte_count = sum(e.sent_bytes for e in asked)
        total += byte_count
        if path not in looked_at:
            assert asked == [], path
        elif path in SMALL_FILES or path in sidecars:
            assert (len(asked), byte_count) == (1, len(content)), path
        elif path in videos:
            assert 1 <= len(asked) <= video_requests, path
            assert byte_count <= header_bytes(root, path) + PROBE_BYTES, path
        elif path == EPISODES or level == "rows":
            assert 1 <= len(asked) <= 2 + len(content) // (512 * KIB), path
            assert byte_count <= len(content), path
        else:
            assert len(asked) == (1 if footer_bytes(root, path) + 8 <= TAIL_BYTES else 2), path
            assert byte_count <= footer_bytes(root, path) + TAIL_BYTES, path
    check_questions(store, files, looked_at)
    return total


@pytest.mark.parametrize("level", ["meta", "layout", "rows"])
def test_the_requests_of_each_level(level, store, indexed):
    files = files_of(indexed)
    url = store.add(files)
    store.clear()
    report = verify(url, options=options(level))
    total = check_level(store, indexed, files, level)
    local = verify(str(indexed), options=options(level))
    assert without_card(report) == without_card(local)
    small = sum(len(content) for path, content in files.items() if not path.endswith(".mp4"))
    assert total <= (small if level == "meta" else small + 12 * PROBE_BYTES)


def without_card(report):
    """Return the findings except for those of the card, which only a dataset on the Hub needs."""
    return [found for found in report.findings if found.location.file != layout.CARD_PATH]


def test_sidecars_are_fetched_once_a_machine(store, indexed):
    files = files_of(indexed)
    url = store.add(files)
    verify(url)
    store.clear()
    verify(url)
    for path, content in files.items():
        if path.startswith(layout.BYTE_INDEX_DIR):
            assert store.ranges_of(path, content) == []


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """Write 40 MB of videos, with moov first and last, and 20 MB of rows; they do not fit the metadata."""
    root = copy_of("av1_multifile", tmp_path_factory.mktemp("large"))
    made = [
        make_large_video(root / video(TOP, number), 20_000_000, is_faststart=is_faststart)
        for number, is_faststart in enumerate([True, False])
    ]
    assert min(video.moov_bytes for video in made) > PROBE_BYTES / 2
    table = pq.read_table(root / data(0))
    rows = table.num_rows * (150_000 // table.num_rows)
    columns = {name: pa.concat_arrays(table[name].chunks * (150_000 // table.num_rows)) for name in table.column_names}
    noise = np.random.default_rng(0).standard_normal(16 * rows, np.float32)
    columns["noise"] = pa.FixedSizeListArray.from_arrays(noise, 16)
    pq.write_table(pa.table(columns), root / data(0))
    pq.write_table(pa.table(columns), root / data(1), row_group_size=300)
    assert (root / data(0)).stat().st_size > 9_000_000
    assert footer_bytes(root, data(1)) > TAIL_BYTES
    return root


@pytest.mark.parametrize("level", first(["rows", "layout"]))
def test_only_headers_and_footers_of_large_files_are_fetched(level, store, large):
    files = files_of(large)
    size = sum(map(len, files.values()))
    url = store.add(files)
    store.clear()
    verify(url, options=options(level))
    # the videos hold other frames than are declared: the samples at which episodes may start are read as well
    total = check_level(store, large, files, level, video_requests=8)
    assert size > 60_000_000
    if level == "layout":
        assert total < 2_500_000


def test_with_a_source_rows_are_fetched_once(store, prepared):
    source, out = prepared
    files, old = files_of(out), files_of(source)
    url, against = store.add(files), store.add(old)
    store.clear()
    report = verify(url, against=against, options=options("rows"))
    assert report.error_count == (1 if store.kind == "hub" else 0)  # the Hub wants a card
    assert {found.location.file for found in report.findings if found.severity == "error"} <= {layout.CARD_PATH}
    both = {**files, **old}
    equal = {path for path, content in both.items() if files.get(path) == old.get(path)}
    prefixes = [url.rpartition("/")[2], against.rpartition("/")[2]]
    for path in both:
        for prefix, contents in zip(prefixes, (files, old), strict=True):
            if path not in contents or (path.endswith(".mp4") and contents is old):
                continue
            size = len(contents[path])
            asked = store.ranges_of(path, contents[path])
            if store.kind == "s3":
                asked = [e for e in asked if f"/{prefix}/" in e.path]
            # on the Hub, equal contents are one object; the version of the source is known before anything else is read
            times = (2 if store.kind == "hub" and path in equal else 1) + (path == layout.INFO_PATH)
            assert times_fetched(asked, size) <= times, path


# --- preparing ------------------------------------------------------------------------------------------------------------------


@full_run
def test_preparing_a_repository_fetches_each_data_file_once_a_step(hub, tmp_path):
    """Planning reads the first, middle and last file; rewriting copies each, and verification compares each."""
    root = copy_of("av1_multifile", tmp_path, name="source")
    for number in range(3):
        table = pq.read_table(root / data(number))
        values = np.random.default_rng(number).standard_normal(200 * len(table), np.float32)
        noise = pa.FixedSizeListArray.from_arrays(values, 200)
        pq.write_table(table.append_column("noise", noise.cast(pa.list_(pa.float32()))), root / data(number))
    files = files_of(root)
    url = hub.add(files)
    hub.clear()
    result = prepare(url, str(tmp_path / "out"))
    assert result.rewrite is not None
    for number in range(3):
        content = files[data(number)]
        asked = hub.ranges_of(data(number), content)
        copies = [span for span in ranges_of(asked, len(content)) if span == (0, len(content))]
        assert len(copies) == 1
        assert times_fetched(asked, len(content)) <= 3
        assert len(asked) <= 7
        assert sum(e.sent_bytes for e in asked) <= 3 * len(content)
        assert len(hub.questions_about(data(number))) <= 5
    prepare(str(root), str(tmp_path / "local"))
    for number in range(3):
        assert (tmp_path / "out" / data(number)).read_bytes() == (tmp_path / "local" / data(number)).read_bytes()


# --- faults ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("store", "kind", "level"),
    [
        (store, *fault)
        for number, fault in enumerate([("status", "rows"), ("reset", "layout"), ("truncate", "rows")])
        for store in every(["s3", "hub"], 2)[:: 1 if number % 2 else -1][: amount(2, 1)]
    ],
    indirect=["store"],
)
def test_faults_change_nothing(kind, level, store, tmp_path):
    """The first request about each file fails, and the first for its bytes."""
    root = copy_of("h264_bframes", tmp_path, indexed=True)
    set_value(root, data(0), "index", 5, 4)
    files = files_of(root)
    url = store.add(files)
    server = store.proxy if store.kind == "s3" else store.hub
    wanted = [path for path in files if path.startswith(("meta/", "data/", "videos/"))]
    store.clear()
    for path in wanted:
        places = [re.escape(path)]
        if store.kind == "hub":
            places.append(store.store_id(files[path]).removeprefix("sha256:"))
        for place in places:
            method = "GET|HEAD" if kind != "truncate" else "GET"
            server.inject(Fault(kind, path=place, method=method, at_byte=100))
    try:
        report = verify(url, options=options(level))
    finally:
        server.clear_faults()
    about = {path: [*store.ranges_of(path, files[path]), *store.questions_about(path)] for path in wanted}
    hit = {path for path, asked in about.items() if any(e.fault == kind for e in asked)}
    assert hit == set(wanted)
    local = verify(str(root), options=options(level))
    assert without_card(report) == without_card(local)
    assert (local.error_count > 0) == (level == "rows")
