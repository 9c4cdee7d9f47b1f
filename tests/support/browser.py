"""A headless Chromium for tests. It reaches no network and searches no driver, and all its processes end with the test."""

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
    # /dev/shm is small in containers.
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND",
    "--window-size=1280,900",
)
_ENVIRONMENT = {
    # Selenium would otherwise connect to the driver through a proxy.
    "NO_PROXY": "localhost,127.0.0.1",
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
    """Open a browser with a new profile. Without a browser the test is skipped, or fails if EPISEEK_REQUIRE_BROWSER is 1.

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
            # The first page of Chromium requests things from the network.
            browser.get("about:blank")
            yield browser
        finally:
            started = list({*started, *_with_children(service.process.pid)})
            browser.quit()
            _, running = psutil.wait_procs(started, timeout=_END_SECONDS)
            for process in running:
                process.kill()
            if running:
                raise RuntimeError(f"still running after the browser was closed: {running}")


def _with_children(pid: int) -> list[psutil.Process]:
    process = psutil.Process(pid)
    return [process, *process.children(recursive=True)]
