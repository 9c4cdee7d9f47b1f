"""The files of a batch below its OUT: the plan, the ledger and the report pages. All paths are POSIX and relative to OUT."""

from typing import Final

BATCH_DIR: Final = ".episeek-batch"
"""The folder of a batch; hidden, so that no search for datasets enters it."""

PLAN_PATH: Final = f"{BATCH_DIR}/plan.parquet"
LEDGER_DIR: Final = f"{BATCH_DIR}/ledger"
"""One folder a dataset, and in it the files of its attempts."""
WORK_DIR: Final = f"{BATCH_DIR}/work"
"""Datasets that are being written; on this machine they are renamed to their places."""
STOPS_DIR: Final = f"{BATCH_DIR}/failures"
"""Marks of the datasets that failed in a run, by which its workers know when to stop."""
PAGES_DIR: Final = f"{BATCH_DIR}/reports"
"""The report page of each dataset."""
REPORT_PATH: Final = "report.html"

PLAN_FORMAT: Final = 1
"""Version of the plan. It changes when a column is removed or changes its meaning."""
PLAN_KEY: Final = b"episeek:batch"
"""Footer key of what the rows of a plan depend on: the manifest, the options and the versions, as JSON."""
SEAL_KEY: Final = b"episeek:digest"
"""Footer key of the SHA-256 of all that a plan says."""

LEDGER_FORMAT: Final = 1
"""Version of the files of the ledger."""

MANIFEST_COLUMNS: Final = ("source", "destination", "options")
"""Columns of a manifest in CSV or Parquet; the last two may be missing."""
