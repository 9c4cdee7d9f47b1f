"""The version of this release, which pyproject.toml repeats."""

__version__ = "0.1.0"
