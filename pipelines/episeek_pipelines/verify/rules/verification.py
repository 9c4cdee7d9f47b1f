"""Rules about the verification itself."""

from typing import Final

from episeek_pipelines.verify.rules.registry import rule

CRASHED: Final = rule(
    "VER000", "error", "meta",
    problem="A check could not be completed",
    invariant="Every check was completed",
    protects="the conclusion: a dataset without findings is only known to be good when all of it was checked",
    remedy="report the message to the authors of episeek: the input is unusual, or episeek has a defect",
)  # fmt: skip
UNREADABLE: Final = rule(
    "VER001", "error", "meta",
    problem="A file could not be read",
    invariant="Every file could be read",
    protects="the conclusion: nothing is known about a file that was not read",
    remedy="check the permissions and the connection to the store, then verify again",
)  # fmt: skip
