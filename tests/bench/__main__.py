"""`python -m tests.bench`: every benchmark, as ratios measured in one run."""

import tempfile
from pathlib import Path


def main() -> None:
    from tests.bench.header import bench_header
    from tests.bench.index import bench_index
    from tests.bench.large_file import bench_large_file
    from tests.bench.open import bench_open, bench_open_remote
    from tests.bench.rewrite import bench_rewrite
    from tests.bench.start_up import bench_start_up
    from tests.bench.statistics import bench_statistics
    from tests.bench.verify import bench_verify

    for bench in (
        bench_start_up,
        bench_open,
        bench_open_remote,
        bench_header,
        bench_index,
        bench_large_file,
        bench_rewrite,
        bench_statistics,
        bench_verify,
    ):
        with tempfile.TemporaryDirectory(prefix="episeek-bench-") as folder:
            for line in bench(Path(folder)):
                print(line, flush=True)


if __name__ == "__main__":  # benchmarks may start processes of their own
    main()
