"""The report of `make bench-train`: each aim is answered where both of its sides were measured, and the best round counts."""

from dataclasses import replace

from tests.bench.train_report import (
    AIMS,
    HEADER,
    OWN_AIMS,
    PROCESS_BYTES,
    Row,
    aim_lines,
    best,
    memory_lines,
    table_line,
)

ROW = Row(
    place="local",
    way="episeek",
    order="global",
    workers=2,
    samples=100,
    seconds=2.0,
    first_batch_seconds=1.0,
    batch_seconds=(1.0, 1.0),
    cpu_seconds=1.0,
    peak_rss_bytes=None,
    distinct_episodes=0.9,
    order_correlation=None,
)


def test_every_aim_is_answered_once():
    rows = [replace(ROW, place=place, order=order) for place in ("local", "20 ms") for order, _ in OWN_AIMS]
    rows += [replace(ROW, place=place, way=way, order="random", seconds=3.0) for _, (place, way), _ in AIMS]
    lines = list(aim_lines(rows))
    assert len(lines) == len(AIMS) + len(OWN_AIMS)
    assert lines[0].startswith("pass  local, global order, 2 workers, against kept decoder: 1.50 times")
    assert [line[:4] for line in lines] == ["pass", "pass", "MISS", "MISS", "MISS", "MISS", "pass", "pass", "pass"]
    assert not list(aim_lines([ROW]))


def test_the_best_round_counts_and_columns_stand_below_their_names():
    assert best([replace(ROW, seconds=4.0), ROW]) is ROW
    assert len(table_line(ROW)) == len(HEADER)


def test_memory_is_compared_with_the_budget_of_the_workers():
    rows = [replace(ROW, workers=workers, peak_rss_bytes=PROCESS_BYTES) for workers in (0, 1)]
    rows.append(replace(rows[1], order="clump", peak_rss_bytes=2 * PROCESS_BYTES + 6))
    rows.append(replace(rows[0], way="kept decoder", peak_rss_bytes=9 * PROCESS_BYTES))
    lines = list(memory_lines(rows, batch_bytes=1))
    assert [line[:24] for line in lines] == ["pass  memory, 0 workers:", "MISS  memory, 1 workers:"]
    assert not list(memory_lines([ROW], batch_bytes=1))
