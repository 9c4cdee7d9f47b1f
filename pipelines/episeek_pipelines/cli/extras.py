"""Find the extra of episeek (an optional set of dependencies) that installs a missing package."""

from typing import Final

from episeek.errors import Extra, install_hint

_EXTRA_OF: Final[dict[str, Extra]] = {
    "adlfs": "azure",
    "aiohttp": "http",
    "av": "prepare",
    "botocore": "s3",
    "cloudpickle": "prepare",
    "dask": "prepare",
    "distributed": "prepare",
    "gcsfs": "gcs",
    "huggingface_hub": "hub",
    "jinja2": "prepare",
    "markupsafe": "prepare",
    "narwhals": "prepare",
    "obstore": "http",
    "pandas": "prepare",
    "pandera": "prepare",
    "s3fs": "s3",
    "torch": "torch",
    "torchcodec": "torch",
    "tqdm": "prepare",
    "urllib3": "hub",
    "yaml": "prepare",
}


def install_hint_for(module: str) -> str | None:
    """Return the command that installs a module, or None if no extra of episeek contains the module."""
    extra = _EXTRA_OF.get(module.partition(".")[0])
    return None if extra is None else install_hint(extra)
