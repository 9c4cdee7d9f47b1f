"""`make demo`: prepare a dataset recorded with LeRobot, verify it, open it, and take one episode out as an MP4 of its own."""

import shutil
import time
from pathlib import Path

import numpy as np

import episeek
from episeek.decode import choose_backend
from episeek.stores.byte_source import CountingSource
from episeek_pipelines import words
from episeek_pipelines.cli.lines import summary
from episeek_pipelines.jobs import prepare
from episeek_pipelines.jobs.verify import verify
from episeek_pipelines.verify import format_text

SOURCE = Path(__file__).parent / "data" / "av1_multifile"
OUTPUT = Path(__file__).parent.parent / "demo-output"
EPISODE, CAMERA = 3, "observation.images.top"


def say(step: str, text: str, started: float) -> None:
    print(f"{step:9}{text}  [{(time.perf_counter() - started) * 1000:.0f} ms]")


def burned_in_number(picture: np.ndarray) -> int:
    """The frame number that was drawn into the top left corner before encoding: see tests/data/README.md."""
    return sum(1 << bit for bit in range(8) if picture[:, 3, 6 * bit + 3].mean() > 127)


def main() -> None:
    shutil.rmtree(OUTPUT, ignore_errors=True)
    target = OUTPUT / SOURCE.name
    print(f"Preparing {SOURCE.name}: 10 episodes, 2 cameras, 12 video files, written by LeRobot 0.4.4\n")

    started = time.perf_counter()
    result = prepare.prepare(str(SOURCE), str(target))
    assert result.verification is not None
    for line in summary.prepare_lines(result):
        print(line)
    say(
        "written",
        f"{target.relative_to(OUTPUT.parent)}/ holds data/ and meta/; the videos stay where they are",
        started,
    )

    started = time.perf_counter()
    report = verify(str(target), data_root=str(SOURCE), against=str(SOURCE))
    print()
    print(format_text(report, max_findings=2))
    say("verified", f"{words.human_bytes(report.bytes_read)} read from {report.files_read} files", started)

    started = time.perf_counter()
    index = episeek.open(target, data_root=SOURCE)
    print()
    say("opened", repr(index), started)

    started = time.perf_counter()
    clip = index.clip(EPISODE, CAMERA)
    source = CountingSource(clip.source)
    mp4 = clip.mux(source.get_ranges(clip.file_path, [clip.byte_range])[0])
    path = OUTPUT / f"episode-{EPISODE}.mp4"
    path.write_bytes(mp4)
    file_bytes = index.file(index.lookup(EPISODE, CAMERA).file_id).file_size
    requests = words.counted(source.request_count, "request")
    read = f"{source.byte_count:,} of the file's {file_bytes:,} bytes in {requests}"
    say("clip", f"{path.relative_to(OUTPUT.parent)}: {clip.frame_count} frames, {read}", started)

    started = time.perf_counter()
    say("decoder", f"{choose_backend('auto', 'cpu', can_be_kept=True)} chosen", started)
    started = time.perf_counter()
    frames = index.clip(EPISODE, CAMERA, start=10, stop=14).decode()
    numbers = [burned_in_number(picture) for picture in np.asarray(frames.data)]
    say(
        "decoded", f"frames 10 to 13 as {tuple(frames.data.shape)}; the numbers burned into them are {numbers}", started
    )
    print(
        f"\nWatch it: any player opens {path.relative_to(OUTPUT.parent)}."
        f" Look around: .venv/bin/episeek inspect {target.relative_to(OUTPUT.parent)}"
    )


if __name__ == "__main__":
    main()
