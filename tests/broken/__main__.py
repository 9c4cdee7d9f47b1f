"""`python -m tests.broken FOLDER [CODE...]`: write broken datasets, each with one defect, and a table of them, `index.json`."""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

from episeek_pipelines.verify.rules import RULES
from tests.broken.catalogue import chosen, write_all


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the datasets."""
    parser = argparse.ArgumentParser(prog="python -m tests.broken", description=__doc__)
    parser.add_argument(
        "folder", type=Path, metavar="FOLDER", help="folder to write to; created where it does not exist"
    )
    parser.add_argument("codes", nargs="*", metavar="CODE", help="only the datasets that break these rules")
    values = parser.parse_args(arguments)
    if unknown := sorted(set(values.codes) - RULES.keys()):
        parser.error(f"no such rule: {', '.join(unknown)}")
    # The AV1 encoder prints errors only.
    os.environ.setdefault("SVT_LOG", "1")
    cases = chosen(values.codes)
    write_all(values.folder, cases)
    for case in cases:
        print(f"{case.folder:<60} {' '.join(sorted(case.all_codes))}")


if __name__ == "__main__":
    main()
