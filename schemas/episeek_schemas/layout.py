"""The paths of files in a LeRobot v3.0 dataset and of files that episeek adds: POSIX paths relative to the dataset's root."""

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
"""The directory in which new tables of the byte index are written before they replace the old tables."""

FILES_PATH: Final = f"{BYTE_INDEX_DIR}/files.parquet"
EPISODES_PATH: Final = f"{BYTE_INDEX_DIR}/episodes.parquet"
KEYFRAMES_PATH: Final = f"{BYTE_INDEX_DIR}/keyframes.parquet"
SAMPLES_PATH: Final = f"{BYTE_INDEX_DIR}/samples.parquet"

SOURCE_RECORD_DIR: Final = ".episeek"
SOURCE_RECORD_PATH: Final = f"{SOURCE_RECORD_DIR}/source.json"
"""The file that records from which dataset an overlay was prepared. An overlay is the output of `episeek prepare`.

Its folder is hidden, and files in hidden folders are neither verified nor published.
"""
RUN_RECORD_PATH: Final = f"{SOURCE_RECORD_DIR}/episeek-run.json"
"""The file that records the options, versions, stages and costs of the run that wrote a dataset."""
REPAIRS_PATH: Final = f"{SOURCE_RECORD_DIR}/repairs.json"
"""The file that lists the repairs that were made while a dataset was prepared, and the repairs that were refused."""

DEFAULT_DATA_PATH: Final = "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
DEFAULT_VIDEO_PATH: Final = "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"
DEFAULT_VIDEO_FILES_SIZE_IN_MB: Final = 200
"""Default of `video_files_size_in_mb` in `meta/info.json`: the size in MB up to which LeRobot adds episodes to a video file."""

DEFAULT_CHUNKS_SIZE: Final = 1000
"""Default of `chunks_size` in `meta/info.json`: the number of files in a chunk folder."""

JOURNAL_PATH: Final = f"{BYTE_INDEX_PARTIAL_DIR}/publication.json"
"""The file that records a publication in progress, see `episeek_pipelines.publish.store.journal`."""
