"""The few kinds of panel that the dashboards are made of. Every query goes through `query`, so that all can be tested."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from typing import NamedTuple

from grafana_foundation_sdk.builders import common, stat, statetimeline, table, timeseries
from grafana_foundation_sdk.builders.dashboard import Dashboard, DatasourceVariable, QueryVariable, Row
from grafana_foundation_sdk.builders.prometheus import Dataquery
from grafana_foundation_sdk.models.common import (
    GraphDrawStyle,
    LegendDisplayMode,
    LegendPlacement,
    StackingMode,
    TooltipDisplayMode,
)
from grafana_foundation_sdk.models.dashboard import DataSourceRef, VariableRefresh, VariableSort
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

SOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")
B = 'backend_id=~"$backend"'
WINDOW = "$__rate_interval"
WIDTH, HEIGHT = 12, 8


class Q(NamedTuple):
    """A query and how its series are named."""

    expr: str
    legend: str = "{{backend_id}}"


def rate(metric: str, by: str = "backend_id", match: str = B) -> str:
    """Per second, summed by a label."""
    selector = f"{{{match}}}" if match else ""
    grouped = f" by ({by})" if by else ""
    return f"sum{grouped} (rate({metric}{selector}[{WINDOW}]))"


def quantile(share: float, metric: str, by: str = "backend_id", match: str = B) -> str:
    """A percentile of a histogram."""
    selector = f"{{{match}}}" if match else ""
    grouped = f"le, {by}" if by else "le"
    return f"histogram_quantile({share}, sum by ({grouped}) (rate({metric}_bucket{selector}[{WINDOW}])))"


def _target(number: int, of: Q) -> Dataquery:
    return Dataquery().ref_id(chr(65 + number)).expr(of.expr).legend_format(of.legend).datasource(SOURCE)


def lines(
    title: str, unit: str, *queries: Q, text: str = "", stacked: bool = False, width: int = WIDTH
) -> timeseries.Panel:
    """Lines over time; shares of a whole are stacked."""
    legend = common.VizLegendOptions().display_mode(LegendDisplayMode.TABLE).placement(LegendPlacement.BOTTOM)
    panel = (
        timeseries.Panel()
        .title(title)
        .description(text)
        .unit(unit)
        .datasource(SOURCE)
        .span(width)
        .height(HEIGHT)
        .draw_style(GraphDrawStyle.LINE)
        .line_width(2)
        .fill_opacity(30 if stacked else 5)
        .legend(legend.calcs(["lastNotNull", "max"]).show_legend(True))
        .tooltip(common.VizTooltipOptions().mode(TooltipDisplayMode.MULTI))
    )
    if stacked:
        panel.stacking(common.StackingConfig().mode(StackingMode.NORMAL))
    for number, of in enumerate(queries):
        panel.with_target(_target(number, of))
    return panel


def number(title: str, unit: str, expr: str, text: str = "", width: int = 4) -> stat.Panel:
    """One number, now."""
    panel = stat.Panel().title(title).description(text).unit(unit).datasource(SOURCE).span(width).height(4)
    return panel.with_target(_target(0, Q(expr, "")))


def states(title: str, of: Q, text: str = "", width: int = 24) -> statetimeline.Panel:
    """A lane a series."""
    panel = statetimeline.Panel().title(title).description(text).datasource(SOURCE).span(width).height(HEIGHT)
    return panel.with_target(_target(0, of))


def rows(title: str, *queries: Q, text: str = "", width: int = 24) -> table.Panel:
    """A table of the present."""
    panel = table.Panel().title(title).description(text).datasource(SOURCE).span(width).height(HEIGHT)
    for index, of in enumerate(queries):
        panel.with_target(_target(index, of).instant().format(PromQueryFormat.TABLE))
    return panel


Panel = timeseries.Panel | stat.Panel | statetimeline.Panel | table.Panel


def page(uid: str, title: str, text: str, sections: Sequence[tuple[str, Sequence[Panel]]]) -> Dashboard:
    """A dashboard of rows, with the data source and the backends to choose."""
    board = (
        Dashboard(f"Equipoise / {title}")
        .uid(f"equipoise-{uid}")
        .description(text)
        .tags(["equipoise"])
        .refresh("30s")
        .time("now-6h", "now")
        .timezone("browser")
        .tooltip(1)
        .with_variable(DatasourceVariable("datasource").label("Data source").type("prometheus"))
        .with_variable(
            QueryVariable("backend")
            .label("Backend")
            .datasource(SOURCE)
            .query("label_values(lb_backend_health_score, backend_id)")
            .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
            .sort(VariableSort.ALPHABETICAL_ASC)
            .multi(True)
            .include_all(True)
            .all_value(".*")
        )
    )
    ids = count(1)
    for name, panels in sections:
        board.with_row(Row(name).id(next(ids)))
        for panel in panels:
            board.with_panel(panel.id(next(ids)))
    return board
