"""The parts of a dataset that a verification checked, and the parts that it did not check."""

from dataclasses import dataclass
from typing import Any

from episeek_pipelines.verify.rules import RULES
from episeek_pipelines.words import counted


@dataclass(frozen=True, slots=True)
class Unchecked:
    """A part of a dataset that was not checked."""

    subject: str
    """The part, as a noun phrase such as `pictures of 2 other episodes`."""
    reason: str
    """The reason why the part was not checked, as a clause such as `the level rows does not decode them`."""
    hint: str = ""
    """Advice in the imperative, such as an option to use for checking the part; empty if no advice helps."""
    rules: tuple[str, ...] = ()
    """Codes of the rules that were not applied for this reason, in sorted order."""

    def __str__(self) -> str:
        return f"{self.subject}: {self.reason}{'; ' if self.hint else ''}{self.hint}"

    def as_dict(self) -> dict[str, Any]:
        """Return the fields as a JSON object."""
        return {"subject": self.subject, "reason": self.reason, "hint": self.hint, "rules": list(self.rules)}


@dataclass(frozen=True, slots=True)
class Coverage:
    """The parts of a dataset that were checked, and the parts that were not checked."""

    checked: tuple[str, ...] = ()
    """The checked parts as noun phrases, in the order of the levels."""
    not_checked: tuple[Unchecked, ...] = ()

    @property
    def rules_not_applied(self) -> frozenset[str]:
        """Return the codes of all rules that were not applied."""
        return frozenset(code for part in self.not_checked for code in part.rules)


@dataclass(frozen=True, slots=True)
class Note:
    """A problem of some videos that is harmless because these videos are indexed in `meta/byte_index/`."""

    code: str
    """Code of the rule that the videos violate."""
    video_count: int

    def __str__(self) -> str:
        rule = RULES[self.code]
        return f"{rule.problem} in {counted(self.video_count, 'video')}, which is harmless: {rule.moot_because}"

    def as_dict(self) -> dict[str, Any]:
        """Return the note as a JSON object."""
        return {
            "code": self.code,
            "problem": RULES[self.code].problem,
            "videos": self.video_count,
            "message": str(self),
        }
