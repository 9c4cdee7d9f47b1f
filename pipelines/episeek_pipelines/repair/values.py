"""Classes for repairs: the place, the change and the proof of a repair, a refused repair, and the user's choice of repairs."""

from dataclasses import asdict, dataclass
from typing import Any, Final

from episeek_pipelines.repair.registry import LOST_EPISODES, PICTURES, RECOVERED, REPAIRS, RepairRule

_SKIP_LOST: Final = "skip_lost_episodes"
_PICTURES: Final = "picture_statistics"


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A place in a dataset: a file, and an episode, camera, column and row of it. Parts that do not apply are None."""

    file: str
    episode: int | None = None
    camera: str | None = None
    column: str | None = None
    row: int | None = None
    """The number of the row in the file, from 0."""

    def __str__(self) -> str:
        parts = [self.file]
        parts += [] if self.episode is None else [f"episode {self.episode}"]
        parts += [] if self.row is None else [f"row {self.row}"]
        parts += [] if self.camera is None else [self.camera]
        parts += [] if self.column is None else [self.column]
        return ", ".join(parts)

    def as_document(self) -> dict[str, Any]:
        """Return the parts that are not None, as a JSON object."""
        return {name: value for name, value in asdict(self).items() if value is not None}


@dataclass(frozen=True, slots=True)
class Repair:
    """A change that the evidence proves. JSON can represent the old value `before` and the new value `after`."""

    code: str
    place: Place
    before: Any
    after: Any
    proof: str
    """The evidence that proves this change, as a clause that a person can read."""
    more: int = 0
    """The number of further places in the same file or column where the same repair is made."""

    @property
    def rule(self) -> RepairRule:
        """The entry of this kind of repair in the table of repairs."""
        return REPAIRS[self.code]

    def as_document(self) -> dict[str, Any]:
        """Return the repair as a JSON object."""
        more = {"more": self.more} if self.more else {}
        place = self.place.as_document()
        return {
            "code": self.code,
            "place": place,
            "before": self.before,
            "after": self.after,
            "proof": self.proof,
            **more,
        }


@dataclass(frozen=True, slots=True)
class Refusal:
    """A defect that is not repaired, because the evidence allows more than one explanation."""

    code: str
    place: Place
    found: str
    """The contradiction, as a noun phrase."""
    readings: tuple[str, ...]
    """The possible explanations of the contradiction, each as a clause."""
    more: int = 0

    @property
    def rule(self) -> RepairRule:
        """The entry of the refused kind of repair in the table of repairs."""
        return REPAIRS[self.code]

    def as_document(self) -> dict[str, Any]:
        """Return the refusal as a JSON object."""
        more = {"more": self.more} if self.more else {}
        place = self.place.as_document()
        return {"code": self.code, "place": place, "found": self.found, "readings": list(self.readings), **more}


Outcome = Repair | Refusal


@dataclass(frozen=True, slots=True)
class RepairChoice:
    """The user's selection of the repairs to make."""

    only: tuple[str, ...] = ()
    """The codes of the only repairs to make; empty for all repairs."""
    skip: tuple[str, ...] = ()
    """The codes of repairs to leave out."""
    skip_lost_episodes: bool = False
    """Whether to leave out episodes whose rows are lost (REP022)."""
    picture_statistics: bool = False
    """Whether to recompute the statistics of pictures from decoded sample pictures (REP023)."""

    def __post_init__(self) -> None:
        unknown = sorted({*self.only, *self.skip} - REPAIRS.keys())
        if unknown:
            raise ValueError(f"found {', '.join(unknown)}; expected codes of repairs, REP001 to {max(REPAIRS)}")
        object.__setattr__(self, "only", tuple(sorted({*self.only})))
        object.__setattr__(self, "skip", tuple(sorted({*self.skip})))
        if self.includes(LOST_EPISODES.code) and not self.includes(RECOVERED.code):
            lost, recovered = LOST_EPISODES.code, RECOVERED.code
            raise ValueError(
                f"found {lost} without {recovered}; expected both, since without {recovered} the rows of a file without a footer "
                "stay unreadable, although its complete row groups can be recovered"
            )

    def includes(self, code: str) -> bool:
        """Return whether the repair with a code is selected.

        REP022 and REP023 are selected only if their option is set or `only` lists them. `skip` takes precedence.
        """
        requested = {LOST_EPISODES.code: self.skip_lost_episodes, PICTURES.code: self.picture_statistics}
        if code in requested:
            return (requested[code] or code in self.only) and code not in self.skip
        return (not self.only or code in self.only) and code not in self.skip

    def as_document(self) -> dict[str, Any]:
        """Return the choice as a JSON object, without the options that have their default values."""
        wanted = {_SKIP_LOST: self.skip_lost_episodes, _PICTURES: self.picture_statistics}
        requested = {name: True for name, is_wanted in wanted.items() if is_wanted}
        return {
            **{name: list(codes) for name, codes in (("only", self.only), ("skip", self.skip)) if codes},
            **requested,
        }

    @classmethod
    def of_document(cls, document: dict[str, Any]) -> "RepairChoice":
        """Return the choice that `as_document` turned into a JSON object.

        Raises:
            ValueError: The choice contains the code of a repair that does not exist.
        """
        only, skip = (tuple(document.get(name, ())) for name in ("only", "skip"))
        skip_lost, pictures = (bool(document.get(name, False)) for name in (_SKIP_LOST, _PICTURES))
        return cls(only, skip, skip_lost_episodes=skip_lost, picture_statistics=pictures)
