"""Which release runs."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version


def release(package: str) -> str:
    """The version of an installed package; `unknown` for the sources themselves."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"
