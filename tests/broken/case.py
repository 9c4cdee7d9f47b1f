"""One broken dataset: the sample it is made from, the damage, and the codes that should be found at each level."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from episeek_pipelines.verify.rules import LEVELS, RULES, Level, includes
from tests.support.broken_datasets import copy_of

AV1, EDITED, H264, HEVC, IMAGES = "av1_multifile", "edited", "h264_bframes", "hevc", "images"


@dataclass(frozen=True, slots=True)
class Case:
    """Damage to a copy of `sample`, and the codes that should be found.

    A code should be found at the level of its rule and above, and at no lower level. `shows_at` gives the level for a defect that
    shows only above the rule's level. An empty `codes` is a dataset that looks broken but is sound.
    """

    name: str
    sample: str
    codes: str
    damage: Callable[[Path], object]
    reproduces: str = ""
    """The public issue, dataset or tool where it happened."""
    level: Level = "rows"
    """The highest level at which it is verified; the lower levels are verified too."""
    shows_at: Mapping[str, Level] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    """Further `VerifyOptions`."""
    remedied: Callable[[Path], object] | None = None
    """Does to the broken dataset what the remedy of the finding says; None where a person has to decide."""
    indexed: bool = False
    against: bool = False
    prepared: bool | None = None
    milder: str = ""
    """Codes of errors that are warnings here, since they do less harm."""

    def __post_init__(self) -> None:
        unknown = self.all_codes - RULES.keys() | self.shows_at.keys() - self.all_codes
        if unknown:
            raise ValueError(f"{self.name}: {sorted(unknown)}; expected codes of rules, and of this case")
        object.__setattr__(self, "shows_at", MappingProxyType(dict(self.shows_at)))
        object.__setattr__(self, "options", MappingProxyType(dict(self.options)))

    @property
    def folder(self) -> str:
        """Name of the folder, `<code>-<slug>`, with the first code."""
        slug = re.sub(r"[^a-z0-9]+", "-", self.name.lower()).strip("-")
        return f"{(self.codes.split() or ['GOOD'])[0]}-{slug}"

    @property
    def all_codes(self) -> frozenset[str]:
        return frozenset(self.codes.split())

    def is_clean(self, level: Level) -> bool:
        """Return whether no error should be found at a level."""
        milder = self.milder.split()
        return all(RULES[code].severity == "warning" or code in milder for code in self.expected(level))

    @property
    def is_prepared(self) -> bool:
        """Whether it is verified as prepared data."""
        return self.against if self.prepared is None else self.prepared

    @property
    def levels(self) -> tuple[Level, ...]:
        """The levels at which it is verified."""
        return LEVELS[: LEVELS.index(self.level) + 1]

    def expected(self, level: Level) -> frozenset[str]:
        """Return the codes that should be found at a level."""
        return frozenset(code for code in self.all_codes if includes(level, self.shows_at.get(code, RULES[code].level)))

    def make(self, root: Path) -> None:
        """Write the dataset to `root`, which must not exist."""
        copy_of(self.sample, root.parent, indexed=self.indexed, prepared=self.is_prepared, name=root.name)
        self.damage(root)
