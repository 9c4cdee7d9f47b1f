"""A headless Chromium for tests. It is alone with the page: no name resolves, no driver is looked for, and its processes end."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service

_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",  # small in containers
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND",
    "--window-size=1280,900",
)
_ENVIRONMENT = {
    "NO_PROXY": "localhost,127.0.0.1",  # selenium would ask a proxy for the driver
    "no_proxy": "localhost,127.0.0.1",
    "SE_OFFLINE": "true",
    "SE_AVOID_STATS": "true",
}
_END_SECONDS = 10


def _find(program: str) -> str:
    path = shutil.which(program)
    if path:
        return path
    missing = f"{program} is not installed: run .ci/install-browser"
    if os.environ.get("EPISEEK_REQUIRE_BROWSER") == "1":
        pytest.fail(missing)
    pytest.skip(missing)


@contextmanager
def open_browser(profile: Path) -> Iterator[Chrome]:
    """A browser with a profile of its own. Skips the test where there is none, unless EPISEEK_REQUIRE_BROWSER is 1.

    Raises:
        RuntimeError: A process outlived the browser; it was killed.
    """
    options = Options()
    options.binary_location = _find("chromium")
    for flag in (*_FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    with pytest.MonkeyPatch.context() as patch:
        for name, value in _ENVIRONMENT.items():
            patch.setenv(name, value)
        service = Service(_find("chromedriver"))
        browser = Chrome(options=options, service=service)
        started = _with_children(service.process.pid)
        try:
            browser.get("about:blank")  # the first page is Chromium's own, which asks for things
            yield browser
        finally:
            started = list({*started, *_with_children(service.process.pid)})
            browser.quit()
            _, left = psutil.wait_procs(started, timeout=_END_SECONDS)
            for process in left:
                process.kill()
            if left:
                raise RuntimeError(f"still running after the browser was closed: {left}")


def _with_children(pid: int) -> list[psutil.Process]:
    process = psutil.Process(pid)
    return [process, *process.children(recursive=True)]
