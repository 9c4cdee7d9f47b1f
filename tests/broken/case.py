"""One broken dataset: which good one it is made from, the damage, and the codes that have to appear, by level."""

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
    """Damage to a copy of `base`, and the codes that have to appear.

    A code has to appear at the level of its rule and above, and at no lower one; `shows_at` names the level where this
    defect takes more than the rule's lowest one. An empty `codes` is a case that looks broken and is not.
    """

    name: str
    base: str
    codes: str
    damage: Callable[[Path], object]
    reproduces: str = ""
    """The public issue, dataset or tool where it happened."""
    level: Level = "rows"
    """The highest level at which it is verified; what is true below it is looked at too."""
    shows_at: Mapping[str, Level] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    """Of `VerifyOptions`, beside the level."""
    indexed: bool = False
    against: bool = False
    prepared: bool | None = None

    def __post_init__(self) -> None:
        unknown = self.all_codes - RULES.keys() | self.shows_at.keys() - self.all_codes
        if unknown:
            raise ValueError(f"{self.name}: {sorted(unknown)}; expected codes of rules, and of this case")
        object.__setattr__(self, "shows_at", MappingProxyType(dict(self.shows_at)))
        object.__setattr__(self, "options", MappingProxyType(dict(self.options)))

    @property
    def folder(self) -> str:
        """`<code>-<slug>`; the first code stands for all."""
        slug = re.sub(r"[^a-z0-9]+", "-", self.name.lower()).strip("-")
        return f"{(self.codes.split() or ['GOOD'])[0]}-{slug}"

    @property
    def all_codes(self) -> frozenset[str]:
        return frozenset(self.codes.split())

    @property
    def is_prepared(self) -> bool:
        """Whether the layout of `episeek prepare` is promised."""
        return self.against if self.prepared is None else self.prepared

    @property
    def levels(self) -> tuple[Level, ...]:
        """Those at which it is verified."""
        return LEVELS[: LEVELS.index(self.level) + 1]

    def expected(self, level: Level) -> frozenset[str]:
        """The codes that have to appear at a level."""
        return frozenset(code for code in self.all_codes if includes(level, self.shows_at.get(code, RULES[code].level)))

    def make(self, root: Path) -> None:
        """Write the dataset to `root`, which is not there yet."""
        copy_of(self.base, root.parent, indexed=self.indexed, prepared=self.is_prepared, name=root.name)
        self.damage(root)
