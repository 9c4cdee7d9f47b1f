"""Actions and states that rest, jump or are late: ROW049 to ROW051."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tests.broken.case import AV1, Case
from tests.broken.duplicates import with_column
from tests.broken.statistics import recompute
from tests.support.broken_datasets import data_files, edit_parquet

Values = npt.NDArray[np.float64]


def change_motion(root: Path, change: Callable[[int, Values, Values], tuple[Values, Values]]) -> None:
    """Give each episode another action and state, as `change` makes them of its number, its action and its state."""

    def rows(groups: list[pa.Table]) -> list[pa.Table]:
        changed = []
        for table in groups:
            names = ("action", "observation.state")
            before = [np.array(table[name].to_pylist()) for name in names]
            for name, values in zip(names, change(table["episode_index"][0].as_py(), *before), strict=True):
                table = with_column(table, name, values.astype(np.float32).tolist())
            changed.append(table)
        return changed

    for path in data_files(root):
        edit_parquet(root, path, rows)
    recompute(root)


def rest(episode: int, action: Values, state: Values) -> tuple[Values, Values]:
    """Let the state rest in two episodes."""
    return action, np.repeat(state[:1], len(state), axis=0) if episode in (3, 5) else state


def lose_packets(episode: int, action: Values, state: Values) -> tuple[Values, Values]:
    """Lose the state of one row of episode 8, so that it is 0 there."""
    state = state + 30
    if episode == 8:
        state[17] = 0
    return action, state


def swing(rows: int) -> Callable[[int, Values, Values], tuple[Values, Values]]:
    """Let all joints swing, and the state follow the action by some rows."""

    def change(episode: int, action: Values, state: Values) -> tuple[Values, Values]:
        time = np.arange(len(action))[:, None] + 10 * episode
        joints = np.arange(action.shape[1])
        return np.sin(time / 7 + joints), np.sin((time - rows) / 7 + joints)

    return change


def switch(episode: int, action: Values, state: Values) -> tuple[Values, Values]:
    """Switch a gripper for one row, turn an angle over, and let one joint rest."""
    action[:, 5] = np.arange(len(action)) == 17
    state[:, 4] = np.where(np.arange(len(state)) % 9 == 3, np.pi - 0.01, 0.01 - np.pi)
    state[:, 3] = np.arange(len(state)) % 40 == 39
    return action, state


CASES: Final = [
    Case("a state that rests in two episodes", AV1, "ROW049", lambda r: change_motion(r, rest)),
    Case("a state that is zero in one row", AV1, "ROW050", lambda r: change_motion(r, lose_packets)),
    Case("actions that lag behind the state", AV1, "ROW051", lambda r: change_motion(r, swing(-2))),
    Case("states that follow the action, and a gripper", AV1, "", lambda r: change_motion(
        r, lambda episode, *values: switch(episode, *swing(2)(episode, *values)))),
    Case("actions that are the state", AV1, "", lambda r: change_motion(r, swing(0))),
]  # fmt: skip
