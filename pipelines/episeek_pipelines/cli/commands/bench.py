"""`episeek bench`: how fast a training loop reads a prepared dataset."""

import argparse
import json
from dataclasses import asdict

from episeek_pipelines.cli.arguments import add_data_root, add_output, count, positive, with_examples
from episeek_pipelines.cli.outcome import Outcome

DESCRIPTION = (
    "Read batches of a prepared dataset through torch's DataLoader, as a training loop that does nothing else, and report "
    "samples and decoded frames per second, waits for batches, shares of fetching and decoding, memory of all processes, "
    "requests, bytes, and how well the samples are mixed. Batches that the workers have prepared while the first one was "
    "waited for are not measured. SRC has sidecars, from `episeek prepare`."
)
NOTES = (
    "In a job of several ranks (RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT, as torchrun sets them), all ranks start together "
    "and rank 0 reports the whole; without MASTER_ADDR, each rank reports itself."
)


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Add the arguments of `bench`."""
    from episeek_pipelines.api import BENCH_ORDERS

    command.description = DESCRIPTION
    command.epilog = with_examples(
        ("a local dataset", "episeek bench data/pusht"),
        (
            "a dataset in a store, each episode fetched about once a node and epoch",
            "episeek bench s3://bucket/aloha --order episode --workers 8 --cache-dir /scratch/ranges",
        ),
        (
            "windows of actions and of pictures, as a policy takes them",
            "episeek bench data/pusht --delta-timestamps action=0:16/10 --delta-timestamps observation.image=-0.1,0",
        ),
        ("four ranks on this node", "torchrun --nproc-per-node 4 --no-python episeek bench data/pusht --csv bench.csv"),
        (
            "on 1, 2 and 4 nodes of a cluster, one after the other",
            "episeek bench /data/aloha --workers 8 --csv bench.csv --slurm > chain.sh && bash chain.sh --partition=cpu",
        ),
        notes=NOTES,
    )
    command.add_argument("source", metavar="SRC", help="a dataset with sidecars: a path or a URL")
    add_data_root(command)
    command.add_argument(
        "--workers", type=count, default=4, metavar="N", help="worker processes of each rank (default: %(default)s)"
    )
    command.add_argument(
        "--batch-size",
        type=positive,
        default=64,
        metavar="B",
        help="samples of a batch of each rank (default: %(default)s)",
    )
    command.add_argument(
        "--order", choices=BENCH_ORDERS, default="global", help="the order of the epoch (default: %(default)s)"
    )
    command.add_argument(
        "--seed", type=count, default=0, metavar="N", help="the seed of the order (default: %(default)s)"
    )
    command.add_argument(
        "--batches",
        type=positive,
        default=100,
        metavar="K",
        help="batches to measure, of each rank (default: %(default)s)",
    )
    command.add_argument(
        "--delta-timestamps",
        type=delta_timestamps,
        action="append",
        default=[],
        metavar="KEY=S,...",
        help="read the values of a feature at these seconds from each frame, or FIRST:STOP/FPS for the frames from FIRST to "
        "before STOP; may be given for several features",
    )
    command.add_argument("--return-uint8", action="store_true", help="pictures as uint8 instead of float32")
    command.add_argument(
        "--max-in-flight",
        type=positive,
        default=16,
        metavar="N",
        help="requests of a process at the same time (default: %(default)s)",
    )
    command.add_argument(
        "--cache-dir",
        metavar="DIR",
        help="keep what is fetched in this directory, for all workers and ranks of the machine",
    )
    command.add_argument("--cache-bytes", type=positive, metavar="N", help="limit of the directory's size")
    add_output(command)
    command.add_argument("--csv", metavar="FILE", help="append a row to FILE, after a header where it is new")
    command.add_argument(
        "--slurm",
        action="store_true",
        help="measure nothing; print a script that submits one job after another to Slurm",
    )
    command.add_argument(
        "--nodes",
        type=node_counts,
        default=(1, 2, 4),
        metavar="N,...",
        help="with --slurm: nodes of each job (default: 1,2,4)",
    )
    command.add_argument(
        "--ranks-per-node",
        type=positive,
        default=1,
        metavar="N",
        help="with --slurm: ranks on each node (default: %(default)s)",
    )


def run(options: argparse.Namespace) -> Outcome:
    """Run `episeek bench`."""
    from episeek_pipelines import api
    from episeek_pipelines.cli.lines.bench import report_lines

    if options.slurm:
        script = api.slurm_script(
            command_of(options), workers=options.workers, nodes=options.nodes, ranks_per_node=options.ranks_per_node
        )
        return Outcome(tuple(script.splitlines()))
    target = None if options.csv is None else _csv_target(options)
    report = api.bench(
        options.source,
        api.BenchOptions(
            data_root=options.data_root,
            order=options.order,
            seed=options.seed,
            batch_size=options.batch_size,
            workers=options.workers,
            batches=options.batches,
            delta_timestamps=dict(options.delta_timestamps) or None,
            return_uint8=options.return_uint8,
            max_in_flight=options.max_in_flight,
            cache_dir=options.cache_dir,
            cache_bytes=options.cache_bytes,
        ),
    )
    if report is None:
        # rank 0 reports
        return Outcome()
    if target is not None:
        from episeek_pipelines.cli.lines.bench import csv_values
        from episeek_pipelines.cli.report_files import append_row

        append_row(target, csv_values(report))
    if options.json:
        return Outcome((json.dumps(asdict(report), indent=2),))
    return Outcome(() if options.quiet else tuple(report_lines(report)))


def command_of(options: argparse.Namespace) -> list[str]:
    """Return the words of the same command without `--slurm` and what belongs to it."""
    words = ["episeek", "bench", options.source]
    for name in ("data_root", "workers", "batch_size", "order", "seed", "batches", "max_in_flight"):
        words += _option(name, getattr(options, name))
    for key, seconds in options.delta_timestamps:
        words += _option("delta_timestamps", f"{key}={','.join(f'{second:g}' for second in seconds)}")
    for name in ("cache_dir", "cache_bytes", "csv"):
        words += _option(name, getattr(options, name))
    return words + [
        f"--{name.replace('_', '-')}" for name in ("return_uint8", "json", "quiet") if getattr(options, name)
    ]


def _option(name: str, value: object) -> list[str]:
    return [] if value is None else [f"--{name.replace('_', '-')}", str(value)]


def delta_timestamps(text: str) -> tuple[str, list[float]]:
    """Return the feature and the seconds of `KEY=S,...`, of which each is a number or `FIRST:STOP/FPS`.

    Raises:
        argparse.ArgumentTypeError: The text is something else.
    """
    key, _, parts = text.partition("=")
    try:
        values = [second for part in parts.split(",") for second in _seconds(part)]
    except (ValueError, ZeroDivisionError):
        values = []
    if not key or not values:
        expected = "KEY=S,... or KEY=FIRST:STOP/FPS, for example action=0,0.1 or action=0:16/30"
        raise argparse.ArgumentTypeError(f"found {text!r}; expected {expected}")
    return key, values


def _seconds(part: str) -> list[float]:
    frames, has_frames, fps = part.partition("/")
    if not has_frames:
        return [float(part)]
    first, _, stop = frames.partition(":")
    return [frame / float(fps) for frame in range(int(first), int(stop))]


def node_counts(text: str) -> tuple[int, ...]:
    """Return numbers of nodes with commas between them.

    Raises:
        argparse.ArgumentTypeError: The text is something else.
    """
    return tuple(positive(part) for part in text.split(","))


def _csv_target(options: argparse.Namespace) -> str:
    from episeek_pipelines.cli.report_files import report_target

    return report_target(options.csv, roots=[options.source, options.data_root])
