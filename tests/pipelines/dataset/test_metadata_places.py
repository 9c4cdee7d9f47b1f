"""What is said where `meta/info.json` is not where it is expected."""

import pytest

from episeek.errors import NotADatasetError
from episeek_pipelines.dataset.metadata import open_dataset


@pytest.mark.parametrize(
    ("renames", "hint"),
    [
        ({"source/meta": "source/Meta"}, "rename Meta/ to meta/"),
        ({"source": "source_old"}, "source_old, to which LeRobot renames a dataset before an edit"),
        ({"source/meta": "source/other"}, ""),
        ({"source": "elsewhere"}, ""),
    ],
    ids=["another case", "set aside", "nowhere", "elsewhere"],
)
def test_metadata_that_is_near_is_named(renames, hint, dataset, tmp_path):
    for old, new in renames.items():
        (tmp_path / old).rename(tmp_path / new)
    with pytest.raises(NotADatasetError) as caught:
        open_dataset(str(dataset))
    assert hint in caught.value.hint
    assert bool(hint) == bool(caught.value.hint)
