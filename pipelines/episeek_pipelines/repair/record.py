"""Write and read the record `.episeek/repairs.json`, which lists the repairs that were made to a dataset or refused."""

import json
from dataclasses import dataclass
from typing import Any, Final

from episeek.errors import MetadataError, first_line
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.repair.registry import REPAIR_VERSION
from episeek_pipelines.repair.values import Place, Refusal, Repair, RepairChoice
from episeek_schemas import layout

_EXPECTED: Final = "a JSON object with version, choice, repairs and refusals, as `episeek repair` writes it"


@dataclass(frozen=True, slots=True)
class MadeRepairs:
    """The repairs that were made to a dataset, and the repairs that were refused."""

    choice: RepairChoice
    """Which repairs the user selected."""
    repairs: tuple[Repair, ...]
    """The repairs made, sorted by code and place."""
    refusals: tuple[Refusal, ...]
    """The defects that were not repaired, because the evidence allows more than one explanation."""
    version: int = REPAIR_VERSION
    """The value of `registry.REPAIR_VERSION` when the repairs were made."""

    def as_document(self) -> dict[str, Any]:
        """Return the record as a JSON object."""
        return {
            "version": self.version,
            "choice": self.choice.as_document(),
            "repairs": [each.as_document() for each in self.repairs],
            "refusals": [each.as_document() for each in self.refusals],
        }


def write_repairs(root: Root, made: MadeRepairs) -> None:
    """Write the record below a root. The same repairs give the same bytes.

    Raises:
        WriteError: The record cannot be written.
    """
    root.write_bytes(layout.REPAIRS_PATH, f"{json.dumps(made.as_document(), indent=1, ensure_ascii=False)}\n".encode())


def read_repairs(root: Root) -> MadeRepairs | None:
    """Return the record below a root, or None if the file does not exist.

    Raises:
        MetadataError: The record is damaged.
    """
    if not root.exists(layout.REPAIRS_PATH):
        return None
    try:
        document = json.loads(root.read_bytes(layout.REPAIRS_PATH))
        return MadeRepairs(
            RepairChoice.of_document(document["choice"]),
            tuple(_repair(each) for each in document["repairs"]),
            tuple(_refusal(each) for each in document["refusals"]),
            int(document["version"]),
        )
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        found = f"{type(error).__name__}: {first_line(error)}"
        hint = "repair the source again, into a new folder"
        raise MetadataError(root.join(layout.REPAIRS_PATH), found, _EXPECTED, hint) from None


def _repair(document: dict[str, Any]) -> Repair:
    return Repair(
        document["code"],
        Place(**document["place"]),
        document["before"],
        document["after"],
        document["proof"],
        document.get("more", 0),
    )


def _refusal(document: dict[str, Any]) -> Refusal:
    readings = tuple(document["readings"])
    return Refusal(document["code"], Place(**document["place"]), document["found"], readings, document.get("more", 0))
