"""Run the command `episeek` with `python -m episeek_pipelines.cli`."""

import sys

from episeek_pipelines.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
