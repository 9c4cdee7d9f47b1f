"""Charts of findings: what they draw is read back from the page."""

import re

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from episeek_pipelines.verify.findings.charts import LagChart, RangeChart, RowChart, Trace
from episeek_pipelines.verify.findings.findings import Finding, Location
from episeek_pipelines.verify.formats.html.finding_charts import drawn
from episeek_pipelines.verify.formats.html.page import format_html
from episeek_pipelines.verify.formats.html.several import format_html_all
from tests.support.report_samples import report

SPIKE = RowChart(4, 23, (Trace("x <b>", np.array([1.0, 2.0, 900.0, 3.0])),), (25,))
RANGES = RangeChart(
    np.array([0, 1, 3]), np.array([0.0, 5, -2]), np.array([9.0, 5, 2]), np.array([np.nan, 5, np.nan]), 9
)
LAGS = LagChart(np.array([-1, 0, 2]), np.array([5, 7, 30]))
PLACE = Location("data/a.parquet", 4, row=25, column="action")


def drawing(chart):
    made = drawn(chart)
    svg = str(made.drawing)
    numbers = [
        float(each) for text in re.findall(r' d="([^"]*)"', svg) for each in re.findall(r"-?\d+(?:\.\d+)?", text)
    ]
    assert all(-60 < number < 560 for number in numbers)
    assert not re.search(r"\b(nan|inf)\b", svg)
    return made, svg


def test_a_spike_is_a_line_with_a_mark_at_its_row():
    made, svg = drawing(SPIKE)
    [places] = re.findall(r'<path class="s0 line" d="M([^"]*)"', svg)
    x, y = zip(*([float(each) for each in place.split()] for place in places.split("L")), strict=True)
    assert np.allclose(np.diff(x), np.diff(x)[0], atol=0.25)
    assert min(range(4), key=y.__getitem__) == 2  # the largest value is at the top
    [mark] = re.findall(r'<path class="s1 points" d="M([\d.]+) ([\d.]+)m', svg)
    assert [float(each) for each in mark] == [x[2], y[2]]
    assert 'aria-label="x &lt;b&gt;, in rows 23 to 26 of episode 4; marked: 900 in row 25"' in svg
    assert [key.name for key in made.keys] == ["x <b>", "a value that jumps away for one row"]


def test_ranges_are_a_bar_for_each_dimension_and_a_mark_where_one_rests():
    made, svg = drawing(RANGES)
    [bars] = re.findall(r'band" stroke-width="[\d.]+" d="([^"]*)"', svg)
    spans = [tuple(map(float, each)) for each in re.findall(r"M([\d.]+) ([\d.]+)V([\d.]+)", bars)]
    heights = [bottom - top for _, bottom, top in spans]
    assert heights[0] / heights[2] == pytest.approx(9 / 4, abs=0.02)
    assert heights[1] == pytest.approx(1)
    [mark] = re.findall(r'points" d="M([\d.]+) [\d.]+m', svg)
    assert float(mark) == spans[1][0]
    assert made.about == "Ranges of 3 of 9 dimensions."


def test_lags_are_a_bar_for_each_of_which_late_ones_differ():
    made, svg = drawing(LAGS)
    bars = re.findall(r'<rect class="s(\d)"[^>]* height="([\d.]+)"><title>([^<]*)</title>', svg)
    assert [(series, title) for series, _, title in bars] == [
        ("0", "-1 rows: 5 episodes"), ("0", "0 rows: 7 episodes"), ("1", "2 rows: 30 episodes"),
    ]  # fmt: skip
    assert float(bars[2][1]) / float(bars[0][1]) == pytest.approx(6, abs=0.05)
    assert "in 30 the action lags behind the state" in svg
    assert len(made.keys) == 2


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=9))
@example([5.4e-291])
@example([5e-324, -1e308])
def test_any_finite_values_are_drawn(numbers):
    values = np.array(numbers)
    _, svg = drawing(RowChart(0, 10**9, (Trace("x", values),), (10**9,)))
    labels = re.findall(r'<text class="y"[^>]*>([^<]*)<', svg)
    assert len(labels) > 1
    assert len(set(labels)) == len(labels)
    assert max(map(len, labels)) < 12
    drawing(RangeChart(np.arange(len(values)), values, np.maximum(values, 0), values, len(values)))


def test_a_page_shows_the_charts_of_some_findings_and_says_so():
    found = tuple(
        Finding("ROW050", "warning", str(number), "", PLACE, charts=(SPIKE, LAGS) if number < 10 else ())
        for number in range(12)
    )
    for page in (format_html(report(found)), format_html_all([report(found[:5]), report(found[5:])])):
        assert page.count('<figure class="shown">') == 16
        assert "Charts are shown for the first 8 of the 10 findings that have charts." in page
        assert "x &lt;b&gt;" in page
        assert "x <b>" not in page
    assert "Charts of" not in format_html(report(found[:1]))
