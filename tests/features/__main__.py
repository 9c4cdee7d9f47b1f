"""`python -m tests.features FOLDER`: write all feature files and their table, and print it."""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

from tests.features.catalogue import table, write_all


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the files."""
    parser = argparse.ArgumentParser(prog="python -m tests.features", description=__doc__)
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="is made where it is not there")
    chosen = parser.parse_args(arguments)
    os.environ.setdefault("SVT_LOG", "1")  # the AV1 encoder's errors only
    write_all(chosen.folder)
    print(table())


if __name__ == "__main__":
    main()
