"""Rules about the verification itself."""

from typing import Final

from episeek_pipelines.verify.rules.registry import rule

CRASHED: Final = rule(
    "VER000", "a check could not be completed", "error", "meta",
    protects="that no finding is no proof only when everything was looked at",
    remedy="report it with the message: the input is unusual, or this is a defect of episeek",
)  # fmt: skip
UNREADABLE: Final = rule(
    "VER001", "a file could not be read", "error", "meta",
    protects="that every file was looked at",
    remedy="check permissions and the store, then verify again",
)  # fmt: skip
