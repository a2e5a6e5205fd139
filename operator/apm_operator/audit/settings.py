from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path


def kubeconfig(environ: Mapping[str, str] | None = None) -> str:
    """The files that kubectl would read; "" where there are none, as in a pod."""
    env = os.environ if environ is None else environ
    if named := env.get("KUBECONFIG"):
        return named
    usual = Path(env.get("HOME", "/")) / ".kube" / "config"
    return str(usual) if usual.is_file() else ""
