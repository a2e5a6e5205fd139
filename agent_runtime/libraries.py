"""Keeps libraries from loading what an agent has no use for: some 17 MiB of a pod's memory, and 0.2 s of its start."""

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

_OPTIONAL = ("httpx2", "charset_normalizer", "chardet", "zstandard")
"""LangSmith's client would take the first instead of httpx, and requests the next two to guess at unknown text."""
_DEFERRED = ("langgraph_sdk", "langsmith.types")
"""Packages of which LangGraph and LangSmith need one module each, and which load hundreds of others."""

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
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Unable to find acceptable character detection dependency")
            yield
    finally:
        sys.meta_path.remove(_Finder)
        for name in left_out:
            del sys.modules[name]


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
