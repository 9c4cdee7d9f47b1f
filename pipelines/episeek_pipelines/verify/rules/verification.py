"""Rules about the verification itself: checks that failed, and files that could not be read."""

from typing import Final

from episeek_pipelines.verify.rules.registry import rule

CRASHED: Final = rule(
    "VER000", "error", "meta",
    problem="A check could not be completed",
    invariant="Every check was completed",
    protects="the conclusion: a dataset without findings is good only if all of it was checked",
    remedy="report the message to the authors of episeek: either the input is unusual, or episeek has a defect",
)  # fmt: skip
UNREADABLE: Final = rule(
    "VER001", "error", "meta",
    problem="A file could not be read",
    invariant="Every file could be read",
    protects="the conclusion, which says nothing about a file that was not read",
    remedy="check the permissions and the connection to the store, then verify again",
)  # fmt: skip
