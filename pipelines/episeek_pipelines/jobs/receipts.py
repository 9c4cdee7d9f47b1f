"""Receipts of finished work: small JSON files in the work directory of a run, each with the identity of what it depended on."""

import json
from typing import Any

from episeek_pipelines.dataset.root import Root


def read_receipt(work: Root, receipt: str, identity: str) -> Any:
    """Return the result in a receipt; None where there is none of this identity."""
    if not work.exists(receipt):
        return None
    try:
        document = json.loads(work.read_bytes(receipt))
        return document["result"] if document["identity"] == identity else None
    except (ValueError, KeyError, TypeError):
        # a power failure left a partial file: the work is repeated
        return None


def write_receipt(work: Root, receipt: str, identity: str, result: dict[str, Any]) -> None:
    """Write a receipt."""
    work.write_bytes(receipt, json.dumps({"identity": identity, "result": result}).encode())


def finished_result(work: Root, receipt: str) -> Any:
    """Return the result in a receipt of this run."""
    return json.loads(work.read_bytes(receipt))["result"]
