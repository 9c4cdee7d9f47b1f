from episeek_pipelines.comparison.matching import match_episodes

TELLING = ("rows", "camera")


def sides(a: list[str], b: list[str]):
    """Episodes of both sides; each is a word whose letters are its rows, its camera and its length."""
    return tuple(
        {
            number: dict(zip(("rows", "camera", "length"), map(str.encode, word), strict=True))
            for number, word in enumerate(side)
        }
        for side in (a, b)
    )


def matched(a: list[str], b: list[str], *, is_by_number: bool = False):
    found = match_episodes(*sides(a, b), telling=TELLING, is_by_number=is_by_number)
    return list(found.pairs), list(found.removed), list(found.added)


def test_episodes_are_found_by_what_they_hold():
    assert matched(["aA1", "bB1", "cC1"], ["aA1", "cC1"]) == ([(0, 0), (2, 1)], [1], [])
    assert matched(["aA1", "bB1", "cC1"], ["cC1", "bB1", "aA1"]) == ([(0, 2), (1, 1), (2, 0)], [], [])
    assert matched(["aA1"], ["xX1", "aA1"]) == ([(0, 1)], [], [0])


def test_a_changed_episode_is_found_where_it_is_now():
    assert matched(["aA1", "bB1", "cC1", "dD1"], ["aA1", "xC1", "dD1"]) == ([(0, 0), (2, 1), (3, 2)], [1], [])
    # one that was recorded again has nothing but its number
    assert matched(["aA1", "bB1"], ["aA1", "xX1"]) == ([(0, 0), (1, 1)], [], [])
    # the length alone tells nothing
    assert matched(["aA1", "bB2"], ["aA1", "xX3", "yY2"]) == ([(0, 0), (1, 1)], [], [2])


def test_episodes_that_are_alike_keep_their_numbers():
    assert matched(["aA1", "aA1", "aA1"], ["aA1", "aA1"]) == ([(0, 0), (1, 1)], [2], [])
    assert matched(["aA1"] * 9 + ["bA1"], ["aA1"] * 9 + ["cA1"])[0][-1] == (9, 9)


def test_without_contents_numbers_decide():
    assert matched(["aA1", "bB1", "cC1"], ["bB1", "cC1"], is_by_number=True) == ([(0, 0), (1, 1)], [2], [])
