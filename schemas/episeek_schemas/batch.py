"""The files that a batch run writes below its output folder: the plan, the ledger and the report pages.

The ledger records the attempts and results of each dataset. Paths are POSIX paths relative to the output folder.
"""

from typing import Final

BATCH_DIR: Final = ".episeek-batch"
"""The folder of all files of a batch except `REPORT_PATH`. It is hidden, so that searches for datasets skip it."""

PLAN_PATH: Final = f"{BATCH_DIR}/plan.parquet"
LEDGER_DIR: Final = f"{BATCH_DIR}/ledger"
"""The folder of the ledger. It contains one folder for each dataset, with the files of the dataset's attempts."""
WORK_DIR: Final = f"{BATCH_DIR}/work"
"""The folder of datasets that are being written. On a local disk, a finished dataset is renamed to its destination."""
STOPS_DIR: Final = f"{BATCH_DIR}/failures"
"""The folder with one file for each dataset that failed in a run. Workers of the run count these files to decide when to stop."""
PAGES_DIR: Final = f"{BATCH_DIR}/reports"
"""The folder with the report page of each dataset."""
REPORT_PATH: Final = "report.html"

PLAN_FORMAT: Final = 1
"""Format version of the plan. Increase it when a column is removed or changes its meaning."""
PLAN_KEY: Final = b"episeek:batch"
"""Key in the footer of the plan, a Parquet file. Its value is JSON with the inputs of the plan: manifest, options and versions."""
SEAL_KEY: Final = b"episeek:digest"
"""Key in the footer of the plan, a Parquet file. Its value is the SHA-256 of the rows and the inputs of the plan."""

LEDGER_FORMAT: Final = 1
"""Format version of the files of the ledger."""

MANIFEST_COLUMNS: Final = ("source", "destination", "options")
"""Columns of a manifest, the CSV or Parquet file that lists the datasets of a batch. The last two columns are optional."""
