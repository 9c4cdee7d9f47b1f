"""The files of a batch below its output folder: the plan, the ledger and the report pages. Paths are POSIX and relative to it."""

from typing import Final

BATCH_DIR: Final = ".episeek-batch"
"""The folder of a batch; hidden, so that no search for datasets enters it."""

PLAN_PATH: Final = f"{BATCH_DIR}/plan.parquet"
LEDGER_DIR: Final = f"{BATCH_DIR}/ledger"
"""Holds one folder for each dataset, with the files of its attempts."""
WORK_DIR: Final = f"{BATCH_DIR}/work"
"""Holds the datasets that are being written. On a local disk a finished dataset is renamed to its place."""
STOPS_DIR: Final = f"{BATCH_DIR}/failures"
"""Holds a mark for each dataset that failed in a run, so that the workers of the run know when to stop."""
PAGES_DIR: Final = f"{BATCH_DIR}/reports"
"""Holds the report page of each dataset."""
REPORT_PATH: Final = "report.html"

PLAN_FORMAT: Final = 1
"""Version of the plan. It changes when a column is removed or changes its meaning."""
PLAN_KEY: Final = b"episeek:batch"
"""Footer key of the inputs of a plan, as JSON: the manifest, the options and the versions."""
SEAL_KEY: Final = b"episeek:digest"
"""Footer key of the SHA-256 of the rows and inputs of a plan."""

LEDGER_FORMAT: Final = 1
"""Version of the files of the ledger."""

MANIFEST_COLUMNS: Final = ("source", "destination", "options")
"""Columns of a manifest in CSV or Parquet; the last two may be missing."""
