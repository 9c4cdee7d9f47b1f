"""Render a comparison as one HTML page, in the style of the verification's report page. The templates escape every value."""

from typing import Final

from markupsafe import Markup

from episeek.version import __version__
from episeek_pipelines.comparison.results import Comparison
from episeek_pipelines.jobs.comparison.sections import dataset_words, reading_words, sections_of, verdict_of
from episeek_pipelines.verify.formats.html.assets import asset, page_environment, policy_of

_PACKAGE: Final = "episeek_pipelines.jobs.comparison"
_STYLE: Final = "episeek_pipelines.verify.formats.html"


def diff_page(comparison: Comparison, *, counts_layout: bool = False) -> str:
    """Return the HTML page of a comparison."""
    style = asset(_STYLE, "page.css")
    verdict, sentence = verdict_of(comparison, counts_layout=counts_layout)
    return (
        page_environment(_PACKAGE)
        .get_template("page.html.jinja")
        .render(
            version=__version__,
            policy=Markup(policy_of(style)),
            style=Markup(style),
            comparison=comparison,
            verdict=verdict,
            sentence=sentence,
            kind="passed" if verdict == "Equal" else "failed",
            counts=[
                ("Equal episodes", comparison.equal_count, ""),
                ("Changed", len(comparison.changed), "error"),
                ("Only in A", len(comparison.removed), "error"),
                ("Only in B", len(comparison.added), "error"),
                ("With another number", len(comparison.renumbered), "warning"),
            ],
            sides=[("A", dataset_words(comparison.a)), ("B", dataset_words(comparison.b))],
            reading=reading_words(comparison),
            sections=sections_of(comparison),
            counts_layout=counts_layout,
        )
    )
