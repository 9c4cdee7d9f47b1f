"""The Hub's client in this process. It reads its environment when it is imported: its constants are replaced."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.hurried import hurried_time

CLIENT_WARNINGS = pytest.mark.filterwarnings("ignore:Use 'content=<...>' to upload raw:DeprecationWarning")
"""The client's own upload uses what its HTTP library calls deprecated."""


@contextmanager
def hub_client(folder: Path, *, has_xet: bool = False) -> Iterator[pytest.MonkeyPatch]:
    """It asks the Hub, knows no token of this machine, waits for nothing and shows no bars; for more to be replaced."""
    from huggingface_hub import constants, file_download
    from huggingface_hub.utils import _http
    from huggingface_hub.utils.tqdm import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(constants, "HF_HUB_DISABLE_XET", not has_xet)
        patch.setattr(constants, "HF_HUB_OFFLINE", False)
        patch.setattr(constants, "HF_TOKEN_PATH", str(folder / "token"))
        patch.setattr(_http, "time", hurried_time())
        patch.setattr(file_download, "time", hurried_time())
        has_bars = not are_progress_bars_disabled()
        disable_progress_bars()
        yield patch
        if has_bars:
            enable_progress_bars()
