"""Write and read receipts of finished work: small JSON files in the work directory of a run.

A receipt contains the result, and the identity of the work: a text that depends on all inputs.
"""

import json
from typing import Any

from episeek_pipelines.dataset.root import Root


def read_receipt(work: Root, receipt: str, identity: str) -> Any:
    """Return the result in a receipt, or None if there is no receipt with this identity."""
    if not work.exists(receipt):
        return None
    try:
        document = json.loads(work.read_bytes(receipt))
        return document["result"] if document["identity"] == identity else None
    except (ValueError, KeyError, TypeError):
        # after a power failure, a receipt may be a partial file, and its work is repeated
        return None


def write_receipt(work: Root, receipt: str, identity: str, result: dict[str, Any]) -> None:
    """Write a receipt with the identity of the work and its result."""
    work.write_bytes(receipt, json.dumps({"identity": identity, "result": result}).encode())


def finished_result(work: Root, receipt: str) -> Any:
    """Return the result in a receipt that this run has already written or checked. Its identity is not compared again."""
    return json.loads(work.read_bytes(receipt))["result"]
