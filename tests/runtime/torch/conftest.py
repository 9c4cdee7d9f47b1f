import pytest

from episeek_pipelines.api import prepare
from tests.support.build_index import DATA


@pytest.fixture(scope="session")
def prepared_images(tmp_path_factory):
    """The prepared dataset whose pictures are in its rows."""
    target = tmp_path_factory.mktemp("images") / "prepared"
    prepare(str(DATA / "images"), str(target))
    return target
