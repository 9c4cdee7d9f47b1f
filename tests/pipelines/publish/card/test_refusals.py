"""Cards that are refused: the line, and the reason."""

import pickle

import pytest

from episeek_pipelines.publish.card.section import BEGIN, END, UnusableCardError
from tests.support.sample_cards import PIN
from tests.support.updated_cards import front, update


@pytest.mark.parametrize(
    ("card", "line", "found"),
    [
        ("---\na: b\n", 1, "a front matter without an end"),
        ("\n---\n\ntext\n--\nmore\n", 2, "a front matter without an end"),
        ("---", 1, "a front matter without an end"),
        ("---\ra: b\r---\r", 1, "a front matter without an end"),
        ("---\na: b\r---\nc: d\n---\n", 2, "a carriage return alone"),
        ("--- \na: b\n---\n", 1, "'--- ' before or in the line"),
        ("\ufeff---\na: b\n---\n", 1, "a byte order mark before"),
        (front("a: {b\n"), 2, "expected ',' or '}'"),
        (front("a: b\n\tc: d\n"), 3, "character '\\t' that cannot start any token"),
        (front("tags: [a,\tb]\n"), 2, "character '\\t' that cannot start any token"),
        (front("a:\tb\n"), 2, "character '\\t' that cannot start any token"),
        (front("a: b\n...\n--- {c: d}\n"), 4, "but found another document"),
        (front("a: \x07\n"), None, "ReaderError"),
        (front("- a\n"), None, "a list as front matter"),
        (front("a\n"), None, "a value as front matter"),
        (front("null\n"), None, "a value as front matter"),
        (front("a: b\n?\n"), 3, "the key ~, which is not text"),
        (front("a: b\n1: c\n"), 3, "the key 1, which is not text"),
        (front("yes: c\n"), 2, "the key yes, which is not text"),
        (front("? [a]\n: c\n"), 2, "a list as a key, which is not text"),
        (front("a: b\nc: !d e\n"), 3, "could not determine a constructor for the tag '!d'"),
        (front("a: b\nc: {[d]: e}\n"), 3, "unhashable key; expected YAML that"),
        (front("a: b\nc: 2024-99-01\n"), None, "month must be in 1..12; expected YAML that huggingface_hub loads"),
        (front("tags: [a]\nb: c\ntags: [d]\n"), 2, "a key that comes twice"),
        (front("configs: []\n'configs': []\n"), 2, "a key that comes twice"),
        (front(f"{PIN}  data_files: data/**\n"), 3, "a key that comes twice"),
        (front("tags: {a: b}\n"), 2, "tags with keys and values; expected a list"),
        (front("a: *x\n"), 2, "undefined alias 'x'"),
        (front("configs: a\n"), 2, "a value as configs"),
        (front("configs:\n- config_name: a\n  data_files: {a: b}\n"), 4, "a mapping in data_files"),
        (front("configs:\n- data_files: a\n"), 3, "a config without config_name"),
        (front("configs:\n- config_name: a\n- config_name: a\n"), 3, "two configs with the same name"),
        (front("configs:\n- config_name: a\n  default: true\n- config_name: default\n"), 3, "2 default configs"),
        (front("configs:\n- config_name: a\n  data_dir: meta\n"), 3, "config 'a', which selects meta/byte_index/"),
        (front(f"{PIN}- config_name: all\n  data_files: meta/**\n"), 5, "config 'all', which selects meta/byte_index/"),
        (
            front("configs:\n- config_name: a\n  data_files: [{split: a, path: data/**}, {split: b, path: '**'}]\n"),
            3,
            "config 'a', which selects meta/byte_index/",
        ),
        (front("x: &x {a: b}\n<<: *x\n"), 2, "or a merge key <<"),
        (front("configs:\n- config_name: a\n  <<: {data_dir: meta}\n"), 3, "or a merge key <<"),
        (front("? configs\n"), 2, "configs in a form that cannot be edited"),
        (front("", f"a\n{BEGIN}\n"), 4, "episeek:begin in line 4; expected"),
        (front("a: b\n", f"{END}\n"), 4, "episeek:end in line 4"),
        (f"{END}\n{BEGIN}", 1, "episeek:end in line 1, episeek:begin in line 2"),
        (f"\n{BEGIN}\n{BEGIN}\n{END}\n{END}", 2, "episeek:begin in line 2, episeek:begin in line 3, episeek:end"),
        (f"{BEGIN}{END}\n{BEGIN}{END}", 1, "episeek:begin in line 1, episeek:end in line 1, episeek:begin in line 2"),
        ("a\n\udcff", 2, "character U+DCFF"),
    ],
)
def test_what_is_refused(card, line, found):
    with pytest.raises(UnusableCardError) as caught:
        update(card)
    error = caught.value
    assert error.line == line
    assert error.where == "README.md of org/name" + (f", line {line}" if line is not None else "")
    assert found in f"{error.found}; expected {error.expected}"
    assert not error.found.startswith("found ")  # the message says so
    assert error.expected
    copy = pickle.loads(pickle.dumps(error))
    assert (str(copy), copy.line, copy.hint) == (str(error), error.line, error.hint)


def test_a_repository_that_is_none():
    with pytest.raises(UnusableCardError, match="repository_id: found"):
        update(None, repository_id='a"b/c')
