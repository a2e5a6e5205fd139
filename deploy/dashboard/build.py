"""The sections as Grafana's JSON."""

from __future__ import annotations

from itertools import count
from typing import Any

from grafana_foundation_sdk.builders import common, dashboard, prometheus, stat, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.common import (
    BigValueGraphMode,
    LegendDisplayMode,
    LegendPlacement,
    TooltipDisplayMode,
)
from grafana_foundation_sdk.models.dashboard import DataSourceRef, VariableRefresh

from deploy.dashboard.panel import Panel
from deploy.dashboard.sections import SECTIONS

UID = "apm-dashboard"
_SOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")
_ALL = ".+"
_EIGHTH, _LOW = 3, 4
_THIRD, _HIGH = 8, 6
"""Widths, of 24, and heights in Grafana's grid."""


def text() -> str:
    """The dashboard, as it is kept."""
    made = dashboard.Dashboard("APM agents").uid(UID).tags(["apm"]).readonly().refresh("30s").time("now-3h", "now")
    made = made.with_variable(dashboard.DatasourceVariable("datasource").label("Prometheus").type("prometheus"))
    made = made.with_variable(_variable("namespace", "label_values(apm_agent_ready, namespace)"))
    made = made.with_variable(_variable("agent", 'label_values(apm_agent_ready{namespace=~"$namespace"}, agent)'))
    number = count(1)
    for title, panels in SECTIONS.items():
        made = made.with_row(dashboard.Row(title).id(next(number)))
        for panel in panels:
            made = made.with_panel(_panel(panel).id(next(number)))
    return JSONEncoder(sort_keys=True, indent=1).encode(made.build()) + "\n"


def _variable(name: str, query: str) -> dashboard.QueryVariable:
    chosen = dashboard.QueryVariable(name).label(name.capitalize()).query(query).datasource(_SOURCE)
    return chosen.multi(True).include_all(True).all_value(_ALL).refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)


def _panel(panel: Panel) -> Any:
    made: Any = _number() if panel.single else _graph()
    made = made.title(panel.title).unit(panel.unit).datasource(_SOURCE).min(0)
    if panel.about:
        made = made.description(panel.about)
    for at, query in enumerate(panel.queries):
        asked = prometheus.Dataquery().expr(query.expr).ref_id(chr(ord("A") + at))
        made = made.with_target(asked.legend_format(query.legend) if query.legend else asked)
    return made


def _number() -> stat.Panel:
    newest = common.ReduceDataOptions().calcs(["lastNotNull"])
    return stat.Panel().graph_mode(BigValueGraphMode.AREA).reduce_options(newest).span(_EIGHTH).height(_LOW)


def _graph() -> timeseries.Panel:
    legend = common.VizLegendOptions().display_mode(LegendDisplayMode.LIST).placement(LegendPlacement.BOTTOM)
    shown = (
        timeseries.Panel()
        .legend(legend.show_legend(True))
        .tooltip(common.VizTooltipOptions().mode(TooltipDisplayMode.MULTI))
    )
    return shown.fill_opacity(10).span(_THIRD).height(_HIGH)
