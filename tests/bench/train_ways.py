"""The ways to read a dataset for training that are compared, each as a torch DataLoader; run in a process of its own:
`python -m tests.bench.train_ways` takes a request as JSON on standard input and prints a measurement.

`lerobot` runs in the environment of the real LeRobot, where neither episeek nor PyAV need be: everything is imported where it is
used.
"""

import json
import sys
from pathlib import Path
from typing import Any

from episeek_pipelines.jobs.bench.loop import run_loop
from episeek_pipelines.jobs.bench.shuffling import distinct_share, order_correlation

CAMERA = "observation.images.camera_0"
_READ_AHEAD_BYTES = 1 << 20


def episeek_loader(request: dict[str, Any]) -> Any:
    from torch.utils.data import DataLoader

    from episeek.torch import EpisodeDataset, EpisodeSampler, collate

    dataset = EpisodeDataset(
        request["root"], episodes=request.get("episodes"), cache_dir=request.get("cache_dir"), max_in_flight=16
    )
    sampler = EpisodeSampler(dataset, request["batch_size"], order=request["order"], drop_last=not request["is_epoch"])
    return DataLoader(dataset, batch_sampler=sampler, num_workers=request["workers"], collate_fn=collate)


def kept_loader(request: dict[str, Any]) -> Any:
    """A map-style dataset with TorchCodec's decoder of each whole file kept open, and a random sampler."""
    return _random(_WholeFiles(request["root"], request["files"], is_kept=True), request)


def read_ahead_loader(request: dict[str, Any]) -> Any:
    """The same over fsspec with 1 MiB of read-ahead."""
    return _random(_WholeFiles(request["root"], request["files"], is_kept=True), request)


def read_ahead_new_loader(request: dict[str, Any]) -> Any:
    """The same with a new decoder for each frame, as LeRobot's streaming opens files."""
    return _random(_WholeFiles(request["root"], request["files"], is_kept=False), request)


def lerobot_loader(request: dict[str, Any]) -> Any:
    from lerobot.datasets.lerobot_dataset import LeRobotDataset  # type: ignore[import-not-found]  # in the other environment

    return _random(LeRobotDataset("local/bench", root=request["root"]), request)


class _WholeFiles:
    """Items by rows in memory and pictures of whole video files, of a dataset with one camera."""

    def __init__(self, root: str, files: dict[str, Any], *, is_kept: bool) -> None:
        import numpy as np
        import pyarrow.parquet as pq
        import torch

        self._root, self._is_kept = root, is_kept
        self._videos, self._first_row = files["videos"], np.cumsum([0, *files["frames"]])
        tables = [pq.read_table(path) for path in files["data"]]
        self._columns = {}
        # the decoders of each process; a fork comes before the first
        for name in tables[0].column_names:
            values = np.concatenate([np.array(table[name].to_pylist()) for table in tables])
            self._columns[name] = torch.from_numpy(values.astype(np.float32 if values.dtype.kind == "f" else np.int64))
        self._decoders: dict[str, Any] = {}

    def __len__(self) -> int:
        return int(self._first_row[-1])

    def __getitem__(self, row: int) -> dict[str, Any]:
        import numpy as np

        number = int(np.searchsorted(self._first_row, row, side="right")) - 1
        decoder = self._decoder(self._videos[number])
        picture = decoder.get_frames_at(indices=[row - int(self._first_row[number])]).data[0]
        return {CAMERA: picture.float().div(255), **{name: column[row] for name, column in self._columns.items()}}

    def _decoder(self, path: str) -> Any:
        import fsspec
        from torchcodec.decoders import VideoDecoder  # type: ignore[attr-defined]  # exported without saying so

        found = self._decoders.get(path)
        if found is None:
            place = f"{self._root}/{path}"
            options = {"block_size": _READ_AHEAD_BYTES, "cache_type": "readahead"} if "://" in place else {}
            source = fsspec.open(place, **options).open() if options else place
            found = VideoDecoder(source, seek_mode="approximate")
            if self._is_kept:
                self._decoders[path] = found
        return found


def _random(dataset: Any, request: dict[str, Any]) -> Any:
    import torch
    from torch.utils.data import DataLoader

    return DataLoader(
        dataset,
        batch_size=request["batch_size"],
        shuffle=True,
        drop_last=True,
        num_workers=request["workers"],
        generator=torch.Generator().manual_seed(0),
    )


LOADERS = {
    "episeek": episeek_loader,
    "kept decoder": kept_loader,
    "read-ahead, kept": read_ahead_loader,
    "read-ahead, new": read_ahead_new_loader,
    "LeRobotDataset": lerobot_loader,
}


def main() -> None:
    request = json.load(sys.stdin)
    loader = LOADERS[request["way"]](request)
    episodes, frames, sizes = [], [], []

    def take(batch: dict[str, Any]) -> None:
        episodes.append(batch["episode_index"].numpy())
        frames.extend(batch["index"].tolist())
        sizes.append(len(batch["index"]))

    if request["is_epoch"]:
        for batch in loader:
            take(batch)
        Path(request["result"]).write_text(json.dumps({"frames": sorted(frames)}))
        return
    measured = run_loop(
        loader, take, workers=request["workers"], batches=request["batches"], max_seconds=request["max_seconds"]
    )
    result = {
        "samples": sum(sizes),
        "seconds": measured.seconds,
        "first_batch_seconds": measured.first_batch_seconds,
        "batch_seconds": measured.batch_seconds,
        "cpu_seconds": measured.cpu_seconds,
        "peak_rss_bytes": measured.peak_rss_bytes,
        "distinct_episodes": distinct_share(episodes),
        "order_correlation": order_correlation(frames),
    }
    Path(request["result"]).write_text(json.dumps(result))


if __name__ == "__main__":
    main()
