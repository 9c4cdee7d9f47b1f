"""The datasets that are given on the command line, checked for the most common mistake before any work is done."""

import argparse
import re
from pathlib import Path
from typing import Final

from episeek.errors import NotADatasetError

_HUB_NAME: Final = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
"""`ORG/NAME`, as the Hub names repositories."""


def require_sources(options: argparse.Namespace) -> None:
    """Refuse the name of a dataset on the Hub that is given without `hf://datasets/`.

    Raises:
        NotADatasetError: There is no such local path, and it looks like a name on the Hub.
    """
    for name in ("source", "data_root", "against"):
        place = getattr(options, name, None)
        if place and _HUB_NAME.fullmatch(place) and not Path(place).exists():
            hint = f"did you mean hf://datasets/{place}?"
            raise NotADatasetError(place, "no such directory", "the directory of a dataset, or a URL", hint)
