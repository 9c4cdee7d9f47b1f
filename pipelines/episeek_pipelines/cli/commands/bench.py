"""`episeek bench`: measure how fast a training loop reads a prepared dataset."""

import argparse
import json
from dataclasses import asdict

from episeek_pipelines.cli.arguments import add_data_root, add_output, count, positive, with_examples
from episeek_pipelines.cli.outcome import Outcome

DESCRIPTION = (
    "Read batches of a prepared dataset through torch's DataLoader, like a training loop without a model. The report "
    "contains samples and decoded frames per second, waiting times for batches, the shares of fetching and decoding, the memory of "
    "all processes, requests, bytes, and how well the samples are mixed. Batches that the workers prepare before the first batch "
    "arrives are not measured. SRC needs sidecars, which `episeek prepare` writes."
)
NOTES = (
    "In a job of several ranks (RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT, as torchrun sets them), all ranks start together, "
    "and rank 0 reports on all of them. Without MASTER_ADDR, each rank reports only on itself."
)


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Add the arguments of `bench`."""
    from episeek_pipelines.api import BENCH_ORDERS

    command.description = DESCRIPTION
    command.epilog = with_examples(
        ("measure a local dataset", "episeek bench data/pusht"),
        (
            "measure a dataset in a store, with each episode fetched about once per node and epoch",
            "episeek bench s3://bucket/aloha --order episode --workers 8 --cache-dir /scratch/ranges",
        ),
        (
            "measure windows of actions and pictures, as a policy needs them",
            "episeek bench data/pusht --delta-timestamps action=0:16/10 --delta-timestamps observation.image=-0.1,0",
        ),
        (
            "measure with four ranks on this node",
            "torchrun --nproc-per-node 4 --no-python episeek bench data/pusht --csv bench.csv",
        ),
        (
            "measure on 1, 2 and 4 nodes of a Slurm cluster, one job after another",
            "episeek bench /data/aloha --workers 8 --csv bench.csv --slurm > chain.sh && bash chain.sh --partition=cpu",
        ),
        notes=NOTES,
    )
    command.add_argument("source", metavar="SRC", help="a dataset with sidecars: a path or a URL")
    add_data_root(command)
    command.add_argument(
        "--workers",
        type=count,
        default=4,
        metavar="N",
        help="number of worker processes per rank (default: %(default)s)",
    )
    command.add_argument(
        "--batch-size",
        type=positive,
        default=64,
        metavar="B",
        help="number of samples in each batch of a rank (default: %(default)s)",
    )
    command.add_argument(
        "--order", choices=BENCH_ORDERS, default="global", help="order of the samples (default: %(default)s)"
    )
    command.add_argument("--seed", type=count, default=0, metavar="N", help="seed of the order (default: %(default)s)")
    command.add_argument(
        "--batches",
        type=positive,
        default=100,
        metavar="K",
        help="number of batches that each rank measures (default: %(default)s)",
    )
    command.add_argument(
        "--delta-timestamps",
        type=delta_timestamps,
        action="append",
        default=[],
        metavar="KEY=S,...",
        help="read the values of the feature KEY at these offsets in seconds from each frame. FIRST:STOP/FPS stands for the "
        "offsets of the frames [FIRST, STOP) at FPS frames per second. May be repeated for other features",
    )
    command.add_argument("--return-uint8", action="store_true", help="return pictures as uint8 instead of float32")
    command.add_argument(
        "--max-in-flight",
        type=positive,
        default=16,
        metavar="N",
        help="number of requests that a process sends at the same time (default: %(default)s)",
    )
    command.add_argument(
        "--cache-dir",
        metavar="DIR",
        help="keep fetched bytes in this directory, which all workers and ranks of this machine share",
    )
    command.add_argument(
        "--cache-bytes", type=positive, metavar="N", help="with --cache-dir: largest size of the directory in bytes"
    )
    add_output(command)
    command.add_argument(
        "--csv",
        metavar="FILE",
        help="append the result as a row to the CSV file FILE; a new file gets a header row first",
    )
    command.add_argument(
        "--slurm",
        action="store_true",
        help="measure nothing; print a script that submits a chain of jobs to Slurm",
    )
    command.add_argument(
        "--nodes",
        type=node_counts,
        default=(1, 2, 4),
        metavar="N,...",
        help="with --slurm: number of nodes of each job (default: 1,2,4)",
    )
    command.add_argument(
        "--ranks-per-node",
        type=positive,
        default=1,
        metavar="N",
        help="with --slurm: number of ranks on each node (default: %(default)s)",
    )


def run(options: argparse.Namespace) -> Outcome:
    """Run `episeek bench`, and return what to print."""
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
        # Only rank 0 reports.
        return Outcome()
    if target is not None:
        from episeek_pipelines.cli.lines.bench import csv_values
        from episeek_pipelines.cli.report_files import append_row

        append_row(target, csv_values(report))
    if options.json:
        return Outcome((json.dumps(asdict(report), indent=2),))
    return Outcome(() if options.quiet else tuple(report_lines(report)))


def command_of(options: argparse.Namespace) -> list[str]:
    """Return the words of the command line that runs this benchmark, without `--slurm`, `--nodes` and `--ranks-per-node`."""
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
    """Return the feature KEY and the offsets in seconds that `KEY=S,...` gives. Each S is a number or `FIRST:STOP/FPS`.

    Raises:
        argparse.ArgumentTypeError: The text does not have this form.
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
    """Return the numbers of nodes in a list such as `1,2,4`.

    Raises:
        argparse.ArgumentTypeError: The text is not a list of whole numbers of 1 or more.
    """
    return tuple(positive(part) for part in text.split(","))


def _csv_target(options: argparse.Namespace) -> str:
    from episeek_pipelines.cli.report_files import report_target

    return report_target(options.csv, roots=[options.source, options.data_root])
