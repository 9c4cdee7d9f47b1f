"""The card that LeRobot writes, and the files that configs of a card choose from."""

DATA = ("data/chunk-000/file-000.parquet", "data/chunk-000/file-001.parquet", "data/chunk-001/file-000.parquet")
META = ("meta/episodes/chunk-000/file-000.parquet", "meta/tasks.parquet")
SIDECARS = tuple(f"meta/byte_index/{name}.parquet" for name in ("files", "episodes", "keyframes", "samples"))
UNINDEXED = (*DATA, *META, "meta/info.json", "videos/top/chunk-000/file-000.mp4", "README.md")
"""A dataset without sidecars."""

FILES = (*UNINDEXED, *SIDECARS)

TAGS = "tags:\n- LeRobot\n"
PIN = "configs:\n- config_name: default\n  data_files: data/*/*.parquet\n"

FRONT_MATTER = f"""---
license: apache-2.0
task_categories:
- robotics
{TAGS}{PIN}---
"""

HINTS = """# For reference on dataset card metadata, see the spec: https://github.com/huggingface/hub-docs/blob/main/datasetcard.md?plain=1
# Doc / guide: https://huggingface.co/docs/hub/datasets-cards
"""
"""Comments that the client's template has at the beginning of its front matter."""

LEROBOT = f"""{FRONT_MATTER}
This dataset was created using [LeRobot](https://github.com/huggingface/lerobot).

<a class="flex" href="https://huggingface.co/spaces/lerobot/visualize_dataset?path=org/name">
<img class="block dark:hidden" src="https://huggingface.co/datasets/huggingface/badges/resolve/main/visualize-this-dataset-xl.svg"/>
</a>

## Dataset Description



- **Homepage:** [More Information Needed]

## Citation

**BibTeX:**

```bibtex
[More Information Needed]
```"""
