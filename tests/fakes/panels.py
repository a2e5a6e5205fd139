"""The queries of the dashboard's panels, asked of a Prometheus as Grafana would ask them."""

from __future__ import annotations

import math
from collections.abc import Iterable

from cluster.prometheus import Server
from deploy.dashboard.sections import SECTIONS


def queries() -> set[str]:
    """Those of all panels."""
    return {query.expr for panels in SECTIONS.values() for panel in panels for query in panel.queries}


def without_data(server: Server, exprs: Iterable[str], window: str = "15s") -> set[str]:
    """The queries that give no number now; `window` is what rates are counted over."""
    return {expr for expr in exprs if not _has_data(server, filled(expr, window))}


def _has_data(server: Server, expr: str) -> bool:
    return any(math.isfinite(float(one["value"][1])) for one in server.query(expr))


def filled(expr: str, window: str = "15s") -> str:
    """A query in which Grafana's variables have values: everything is chosen."""
    chosen = {"$namespace": ".+", "$agent": ".+", "$__rate_interval": window, "$__range": "1m"}
    for variable, value in chosen.items():
        expr = expr.replace(variable, value)
    return expr
