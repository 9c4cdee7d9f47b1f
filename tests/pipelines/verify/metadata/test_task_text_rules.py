import pytest
from hypothesis import given
from hypothesis import strategies as st

from episeek_pipelines.dataset.task_table import task_table
from episeek_pipelines.verify.metadata.task_text_rules import check_task_texts, is_placeholder, normal_form


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "\u200b", "task", "Task", " TASK ", "task 0", "task_12", "Task #3", "test", "Test.", "ToDo", "todo:", "unnamed",
        "default", "DEFAULT TASK", "dummy_task", "n/a", "None", "0", "17", "---", "?", "\uff34\uff21\uff33\uff2b",
    ],
)  # fmt: skip
def test_texts_that_instruct_nobody(text):
    [found] = check_task_texts(task_table(["pick the cube", text]))
    assert (found.code, found.severity, found.location.row, found.more) == ("TSK047", "warning", 1, 0)


@pytest.mark.parametrize(
    "texts",
    [
        ["pick the cube", "pick the cubes", "pick the cube 2", "pick the cube 1"],
        ["test the switch", "do the default motion", "unknown object: push it", "taskbar: click it", "go"],
        ["pick cube A", "pick cube B", "pick cube_a"],
        ["\u62ff\u8d77\u65b9\u5757", "\u653e\u4e0b\u65b9\u5757"],
        ["turn left 90", "turn left -90"],
        [],
    ],
)
def test_texts_that_look_like_placeholders_or_like_each_other(texts):
    assert not list(check_task_texts(task_table(texts)))


@pytest.mark.parametrize(
    ("text", "other", "what"),
    [
        ("pick the cube", "Pick the Cube", "upper and lower case"),
        ("pick the cube", "pick  the cube ", "white space"),
        ("pick the cube", "pick\u00a0the cube", "Unicode form"),
        ("caf\u00e9", "cafe\u0301", "Unicode form"),
        ("pick the cube", "pick the cube.", "a full stop"),
        ("pick the cube", "pick\u200b the cube", "characters that cannot be seen"),
        (
            "pick the cube",
            "Pick the  cube.",
            "upper and lower case, white space and a full stop",
        ),
        ("stra\u00dfe", "STRASSE", "upper and lower case"),
    ],
)
def test_texts_of_one_normal_form(text, other, what):
    [found] = check_task_texts(task_table([text, "open the drawer", other]))
    assert (found.location.row, found.more) == (2, 0)
    assert found.found.endswith(f"in row 0 only in {what}")


def test_further_texts_are_counted_and_equal_texts_are_left_to_another_rule():
    found = list(check_task_texts(task_table(["a b", "todo", "A b", "a b", "A B", "", "a b."])))
    assert [(each.location.row, each.more) for each in found] == [(1, 1), (2, 2)]


@given(st.text())
def test_the_normal_form_is_normal(text):
    plain = normal_form(text)
    assert plain == " ".join(plain.split())
    assert is_placeholder(text) == is_placeholder(f"  {text}\n")
