"""The list of the longest tests names tests that exist."""

from pathlib import Path

from tests.support.long_tests import LIST, STAY

ROOT = Path(__file__).parents[1]


def test_the_listed_tests_exist():
    lines = LIST.read_text().splitlines()
    assert lines == sorted(set(lines))
    for line in lines:
        path, name = line.split("::", 1)
        assert f"def {name.split('[')[0]}(" in (ROOT / path).read_text(), line
        assert not line.startswith(tuple(f"tests/{beginning}" for beginning in STAY)), line


def test_tests_that_stay_exist():
    for beginning in STAY:
        path, _, name = beginning.partition("::")
        assert (ROOT / "tests" / path).exists(), beginning
        assert not name or f"def {name.split('[')[0]}(" in (ROOT / "tests" / path).read_text(), beginning
