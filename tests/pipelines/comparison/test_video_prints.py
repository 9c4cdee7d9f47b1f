"""Prints of videos of every feature: the same from the file and from a packed one, whatever is around the samples there."""

from dataclasses import replace

import numpy as np

from episeek_pipelines.comparison.videos.prints import print_video
from episeek_pipelines.dataset.root import Root
from episeek_pipelines.video.episode_frames import DeclaredEpisodes
from tests.pipelines.pack.packing import CAMERA, pack_files
from tests.pipelines.pack.test_features import SHOWN
from tests.support.amount import every


def prints(folder, path, declared, fps=30.0):
    return print_video(Root(str(folder)), path, declared, fps=fps, rates=(fps,), file_size=None)


def test_packed_samples_have_the_prints_of_their_source(tmp_path):
    chosen = every(SHOWN, 9)
    packed = pack_files(tmp_path, [feature.build() for feature in chosen], [[len(each.numbers)] for each in chosen])
    assert packed.plan.locations is not None
    columns = packed.plan.locations.cameras[CAMERA]
    files = [
        packed.plan.locations.video_path.format(video_key=CAMERA, chunk_index=chunk, file_index=file)
        for chunk, file in zip(columns.chunk_index.tolist(), columns.file_index.tolist(), strict=True)
    ]
    different = []
    for number, feature in enumerate(chosen):
        alone = DeclaredEpisodes(
            np.array([number]), np.array([len(feature.numbers)]), np.zeros(1), np.array([len(feature.numbers) / 30])
        )
        source = prints(tmp_path / "source", f"{number:03d}.mp4", alone)
        together = [place for place, file in enumerate(files) if file == files[number]]
        lengths = np.array([len(chosen[place].numbers) for place in together])
        declared = DeclaredEpisodes.sorted(
            np.array(together), lengths, columns.from_timestamp[together], columns.to_timestamp[together]
        )
        target = prints(packed.folder, files[number], declared)
        one, other = source.episodes[number], target.episodes[number]
        for name in ("frame_count", "sample_count", "sizes", "order", "times", "entry"):
            if name == "entry":
                # only the first of two tracks is packed
                one, other = (
                    replace(
                        each,
                        entry=replace(
                            each.entry, parts=tuple(part for part in each.entry.parts if part[0] != "2 video tracks")
                        ),
                    )
                    for each in (one, other)
                )
            if getattr(one, name) != getattr(other, name):
                different.append((feature.name, name, getattr(one, name), getattr(other, name)))
    assert different == []
