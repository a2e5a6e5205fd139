"""Keeps libraries from loading what an agent has no use for: some 20 MiB of a pod's memory, and 0.4 s of its start."""

from __future__ import annotations

import sys
import threading
import warnings
from contextlib import contextmanager
from importlib.machinery import PathFinder
from importlib.util import find_spec
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from importlib.abc import Loader
    from importlib.machinery import ModuleSpec

_OPTIONAL = ("httpx2", "opentelemetry", "charset_normalizer", "chardet", "zstandard", "pygments")
"""LangSmith's client would take the first instead of httpx, and the second if it is there; requests the next two to
guess at unknown text; httpx has a command that colours what it prints."""
_DEFERRED = ("langgraph_sdk", "langsmith.types")
"""Packages of which LangGraph and LangSmith need one module each, and which load hundreds of others."""
_SAFE_TO_DEFER = (2, 14)
"""The version of pydantic from which on several threads may be the first to use a model."""

_LOCK = threading.RLock()


@contextmanager
def lean_imports() -> Iterator[None]:
    """For the imports of the runtime. The code of users finds all packages later as they are."""
    if find_spec("OpenSSL") is None:
        # pymongo would load all of `cryptography` before it sees that.
        sys.modules.setdefault("pymongo.pyopenssl_context", None)  # type: ignore[arg-type]
    left_out = [name for name in _OPTIONAL if name not in sys.modules]
    for name in left_out:
        sys.modules[name] = None  # type: ignore[assignment] # which means: there is none
    sys.meta_path.insert(0, _Finder)
    try:
        with warnings.catch_warnings(), _deferred_models():
            warnings.filterwarnings("ignore", message="Unable to find acceptable character detection dependency")
            yield
    finally:
        sys.meta_path.remove(_Finder)
        for name in left_out:
            del sys.modules[name]


@contextmanager
def _deferred_models() -> Iterator[None]:
    """Has models that are declared meanwhile built when they are first used, which hardly any of the libraries' are."""
    from pydantic import VERSION, BaseModel, ConfigDict  # noqa: PLC0415 - not before the environment is set

    before = BaseModel.model_config
    if tuple(map(int, VERSION.split(".")[:2])) >= _SAFE_TO_DEFER:
        BaseModel.model_config = ConfigDict(**{**before, "defer_build": True})
    try:
        yield
    finally:
        BaseModel.model_config = before


class _Package(ModuleType):
    """A package whose own code runs when something of it is asked for. Its modules can be imported before."""

    def __getattr__(self, name: str) -> Any:
        with _LOCK:
            loader: Loader | None = self.__dict__.pop("__deferred__", None)
            if loader is not None:
                loader.exec_module(self)
        return super().__getattribute__(name)


class _Loader:
    """Makes a package without running its code."""

    def __init__(self, loader: Loader) -> None:
        self._loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return _Package(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Leaves it for later."""
        module.__dict__["__deferred__"] = self._loader


class _Finder:
    @classmethod
    def find_spec(
        cls, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name not in _DEFERRED:
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader)  # type: ignore[assignment]
        return spec
