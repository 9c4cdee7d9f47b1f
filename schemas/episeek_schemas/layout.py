"""The paths of the files in a LeRobot v3.0 dataset, and of the files that episeek adds. All are POSIX and relative to the root."""

from typing import Final

INFO_PATH: Final = "meta/info.json"
META_DIR: Final = "meta"
TASKS_PATH: Final = "meta/tasks.parquet"
SUBTASKS_PATH: Final = "meta/subtasks.parquet"
STATS_PATH: Final = "meta/stats.json"
CARD_PATH: Final = "README.md"
DATA_DIR: Final = "data"
VIDEOS_DIR: Final = "videos"
EPISODES_DIR: Final = "meta/episodes"
BYTE_INDEX_DIR: Final = "meta/byte_index"
BYTE_INDEX_PARTIAL_DIR: Final = "meta/byte_index.partial"
"""The directory in which new sidecars are written before they replace the old ones."""

FILES_PATH: Final = f"{BYTE_INDEX_DIR}/files.parquet"
EPISODES_PATH: Final = f"{BYTE_INDEX_DIR}/episodes.parquet"
KEYFRAMES_PATH: Final = f"{BYTE_INDEX_DIR}/keyframes.parquet"
SAMPLES_PATH: Final = f"{BYTE_INDEX_DIR}/samples.parquet"

SOURCE_RECORD_DIR: Final = ".episeek"
SOURCE_RECORD_PATH: Final = f"{SOURCE_RECORD_DIR}/source.json"
"""The file that names the dataset from which an overlay was prepared.

Files in hidden folders are neither verified nor published.
"""
RUN_RECORD_PATH: Final = f"{SOURCE_RECORD_DIR}/episeek-run.json"
"""The file that describes the run that wrote a dataset: its options, versions, stages and costs."""
REPAIRS_PATH: Final = f"{SOURCE_RECORD_DIR}/repairs.json"
"""The file that lists the repairs made while this dataset was prepared, and the repairs that were refused."""

DEFAULT_DATA_PATH: Final = "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
DEFAULT_VIDEO_PATH: Final = "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"
DEFAULT_VIDEO_FILES_SIZE_IN_MB: Final = 200
"""Size in MB up to which LeRobot adds episodes to a video file, if `meta/info.json` gives no number."""

DEFAULT_CHUNKS_SIZE: Final = 1000
"""Number of files in a chunk folder, if `meta/info.json` gives no number."""

JOURNAL_PATH: Final = f"{BYTE_INDEX_PARTIAL_DIR}/publication.json"
"""The journal of a publication that is in progress (`episeek_pipelines.publish.store.journal`)."""
