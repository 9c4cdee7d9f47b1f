"""Reports for the tests of the formats: hostile ones from Hypothesis, and one of each kind of finding."""

from hypothesis import strategies as st

from episeek_pipelines.verify import LEVELS, RULES, Finding, Location, VerificationReport

SNIPPETS = (
    "\x00", "\x1b[2J", "\r\n", "\n\n", "\n::error::x", "::stop-commands::x", "##[error]", "]]>", "<![CDATA[", "-->", "</pre>",
    "</details>", "<script>", "&lt;", "&#124;", "|", "`", "``", "\\|", "\\", "_a_", "**", "[a](javascript:b)", "![a](b)",
    "{0}", "{{", "%0A", "%25", ",title=", "::", ":", "@user", "#1", "http://a.b", "../", "//", "s3://", "file:///", " ",
    "\t", "\ud800", "\udcff", "\ufffe", "\uffff", "\u2028", "\u202e", "\x85", "😀", "é", "~~~", "1. ", "- ", "# ",
)  # fmt: skip
"""What a terminal, a log, an XML parser, Markdown or a URI would act on."""

anything = st.text(st.characters(exclude_categories=()), max_size=20)
hostile = st.lists(anything | st.sampled_from(SNIPPETS), max_size=6).map("".join)
long = st.builds(lambda text, count: text * count, hostile, st.sampled_from([1, 1, 1, 300]))
numbers = st.none() | st.integers(0, 2**40)
locations = st.builds(
    Location, st.none() | hostile.filter(bool), numbers, st.none() | hostile, numbers, st.none() | hostile
)
findings = st.builds(
    Finding,
    st.sampled_from(sorted(RULES)),
    st.sampled_from(["error", "warning"]),
    long,
    st.just("") | hostile,
    locations,
    st.integers(0, 3),
)
roots = st.builds(
    str.__add__, st.sampled_from(["", "/", "s3://", "hf://datasets/", "file://", "a::b://"]), hostile.filter(bool)
)
reports = st.builds(
    lambda root, found, level, against, ignored, accepted: VerificationReport(
        root, tuple(sorted(found)), 2, 3, 4, 7, 1_500_000, 0.0, level, against, ignored_count=ignored, accepted_count=accepted
    ),
    roots, st.lists(findings, max_size=8), st.sampled_from(LEVELS), st.none() | roots,
    st.integers(0, 3), st.integers(0, 3),
)  # fmt: skip


def report_of(*found: Finding, root: str = "/somewhere", against: str | None = None) -> VerificationReport:
    return VerificationReport(root, tuple(sorted(found)), 2, 3, 4, 7, 1_500_000, 0.0, "rows", against)
