"""The kinds of panel that a dashboard is made of, each with one look wherever it stands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, Self, TypeVar

from grafana_foundation_sdk.builders import (
    bargauge,
    heatmap,
    prometheus,
    stat,
    statetimeline,
    statushistory,
    table,
    timeseries,
)
from grafana_foundation_sdk.builders import common as common_builders
from grafana_foundation_sdk.builders import dashboard as dashboard_builders
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.variants import Dataquery
from grafana_foundation_sdk.models import common, dashboard
from grafana_foundation_sdk.models.heatmap import HeatmapColorMode
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

__all__ = [
    "SOURCE",
    "About",
    "Limits",
    "PanelBuilder",
    "bars",
    "density",
    "lines",
    "number",
    "ranking",
    "states",
    "status_map",
]

#: Which Prometheus is asked: the dashboard's one variable.
SOURCE = dashboard.DataSourceRef(type_val="prometheus", uid="${datasource}")

PanelBuilder = Builder[dashboard.Panel]

_GREEN, _YELLOW, _RED, _BLUE = "green", "yellow", "red", "blue"


@dataclass(frozen=True)
class About:
    """What a panel is called, what it tells, and how much room it takes.

    Attributes
    ----------
    title
        A few words.
    text
        What is to be seen, and what to do when it is not as it should be.
    unit
        Grafana's name of the unit.
    width
        Of the 24 columns of a dashboard.
    """

    title: str
    text: str
    unit: str = "short"
    width: int = 8


@dataclass(frozen=True)
class Limits:
    """From which value on a figure is yellow, and from which it is red.

    Attributes
    ----------
    warning, bad
        In the panel's unit; None where there is no such value.
    falling
        Whether the small values are the bad ones.
    """

    warning: float | None = None
    bad: float | None = None
    falling: bool = False

    def build(self) -> dashboard_builders.ThresholdsConfig:
        """Return Grafana's steps, the first of which begins at minus infinity."""
        colours: list[str] = [_GREEN, _YELLOW, _RED]
        values = [self.warning, self.bad]
        if self.falling:
            colours, values = colours[::-1], values[::-1]
        steps = [dashboard.Threshold(color=colours[0], value=None)] + [
            dashboard.Threshold(color=colour, value=value)
            for colour, value in zip(colours[1:], values, strict=True)
            if value is not None
        ]
        config = dashboard_builders.ThresholdsConfig()
        return config.mode(dashboard.ThresholdsMode.ABSOLUTE).steps(steps)


class _AnyPanel(Protocol):
    """What all panels of the library can do."""

    def title(self, title: str) -> Self: ...

    def description(self, description: str) -> Self: ...

    def datasource(self, datasource: dashboard.DataSourceRef) -> Self: ...

    def height(self, h: int) -> Self: ...

    def span(self, w: int) -> Self: ...

    def unit(self, unit: str) -> Self: ...

    def with_target(self, target: Builder[Dataquery]) -> Self: ...


_P = TypeVar("_P", bound=_AnyPanel)


def _described(panel: _P, about: About, height: int) -> _P:
    described = panel.title(about.title).description(about.text).datasource(SOURCE)
    return described.height(height).span(about.width).unit(about.unit)


def _query(expression: str, reference: str, legend: str = "") -> prometheus.Dataquery:
    query = prometheus.Dataquery().datasource(SOURCE).ref_id(reference).expr(expression)
    return query.legend_format(legend) if legend else query


def _asking(panel: _P, queries: Mapping[str, str], instant: bool = False) -> _P:
    for reference, (legend, expression) in zip("ABCDEFGH", queries.items(), strict=False):
        query = _query(expression, reference, legend)
        panel = panel.with_target(query.instant() if instant else query.range())
    return panel


def _legend(*calculations: str) -> common_builders.VizLegendOptions:
    mode = common.LegendDisplayMode.TABLE if calculations else common.LegendDisplayMode.LIST
    legend = common_builders.VizLegendOptions().display_mode(mode).show_legend(True)
    return legend.placement(common.LegendPlacement.BOTTOM).calcs(list(calculations))


def _coloured(mode: dashboard.FieldColorModeId) -> dashboard_builders.FieldColor:
    return dashboard_builders.FieldColor().mode(mode)


def number(
    about: About,
    query: str,
    limits: Limits | None = None,
    words: Mapping[int, tuple[str, str]] | None = None,
) -> PanelBuilder:
    """Return a panel with one figure, its past behind it.

    Parameters
    ----------
    about
        Its title and text.
    query
        Of one series.
    limits
        Where its colour changes; it has none of these colours without.
    words
        What stands in the place of a value, and that word's colour.
    """
    panel = _described(stat.Panel(), about, height=4).no_value("no data yet")
    if limits:
        panel = panel.thresholds(limits.build())
        panel = panel.color_scheme(_coloured(dashboard.FieldColorModeId.THRESHOLDS))
    else:
        fixed = _coloured(dashboard.FieldColorModeId.FIXED).fixed_color(_BLUE)
        panel = panel.color_scheme(fixed)
    if words:
        panel = panel.mappings([_mapping(words)])
    last = common_builders.ReduceDataOptions().calcs(["lastNotNull"]).values(False)
    panel = panel.graph_mode(common.BigValueGraphMode.AREA).reduce_options(last)
    panel = panel.color_mode(common.BigValueColorMode.VALUE)
    return panel.with_target(_query(query, "A").range())


def lines(
    about: About,
    queries: Mapping[str, str],
    limits: Limits | None = None,
    stacked: bool = False,
    top: float | None = None,
) -> PanelBuilder:
    """Return a panel of lines over time.

    Parameters
    ----------
    about
        Its title and text.
    queries
        By what the legend says of them, where ``{{label}}`` is a label's value.
    limits
        Drawn as dashed lines.
    stacked
        Whether the lines stand on one another.
    top
        Where the axis ends; else with the largest value.
    """
    panel = _described(timeseries.Panel(), about, height=8).min(0).line_width(2)
    panel = panel.legend(_legend("lastNotNull", "max")).fill_opacity(30 if stacked else 10)
    panel = panel.show_points(common.VisibilityMode.NEVER)
    all_of_them = common_builders.VizTooltipOptions().mode(common.TooltipDisplayMode.MULTI)
    panel = panel.tooltip(all_of_them)
    if top is not None:
        panel = panel.max(top)
    if stacked:
        stacking = common_builders.StackingConfig().mode(common.StackingMode.NORMAL)
        panel = panel.stacking(stacking)
    if limits:
        style = common_builders.GraphThresholdsStyleConfig()
        dashed = style.mode(common.GraphThresholdsStyleMode.DASHED)
        panel = panel.thresholds(limits.build()).thresholds_style(dashed)
    return _asking(panel, queries)


def density(about: About, query: str) -> PanelBuilder:
    """Return a panel in which a histogram's buckets are darker the more fell into them.

    Parameters
    ----------
    about
        Its title and text; the unit is that of the buckets' bounds.
    query
        The rate of the buckets by ``le``.
    """
    panel = _described(heatmap.Panel(), about, height=8).calculate(False)
    colours = heatmap.HeatmapColorOptions().mode(HeatmapColorMode.SCHEME).scheme("Blues")
    panel = panel.color(colours.steps(64).reverse(True))
    panel = panel.y_axis(heatmap.YAxisConfig().unit(about.unit))
    panel = panel.cell_values(heatmap.CellValues().unit("reqps")).show_legend()
    buckets = _query(query, "A", "{{le}}").format(PromQueryFormat.HEATMAP)
    return panel.with_target(buckets.range())


def states(
    about: About, query: str, legend: str, words: Mapping[int, tuple[str, str]]
) -> PanelBuilder:
    """Return a panel with a band per series that changes its colour when the state changes."""
    panel = _described(statetimeline.Panel(), about, height=8).mappings([_mapping(words)])
    panel = panel.merge_values(True).show_value(common.VisibilityMode.NEVER)
    return _asking(panel.legend(_legend()), {legend: query})


def status_map(
    about: About, query: str, legend: str, words: Mapping[int, tuple[str, str]]
) -> PanelBuilder:
    """Return a panel with a row per series and a cell per point in time."""
    panel = _described(statushistory.Panel(), about, height=12).mappings([_mapping(words)])
    # More cells than there is room for would be an error message instead of a map.
    panel = panel.max_data_points(60).show_value(common.VisibilityMode.NEVER)
    return _asking(panel.legend(_legend()), {legend: query})


def bars(about: About, queries: Mapping[str, str]) -> PanelBuilder:
    """Return a panel with a horizontal bar per series: how things are now."""
    panel = _described(bargauge.Panel(), about, height=12).min(0)
    panel = panel.orientation(common.VizOrientation.HORIZONTAL)
    panel = panel.display_mode(common.BarGaugeDisplayMode.BASIC)
    panel = panel.color_scheme(_coloured(dashboard.FieldColorModeId.CONTINUOUS_BLUES))
    last = common_builders.ReduceDataOptions().calcs(["lastNotNull"]).values(False)
    return _asking(panel.reduce_options(last), queries, instant=True)


def ranking(about: About, query: str, columns: Mapping[str, str]) -> PanelBuilder:
    """Return a table of series, the smallest values first.

    Parameters
    ----------
    about
        Its title and text.
    query
        Asked for the present alone.
    columns
        The labels to show, ``Value`` among them, and what their columns are called.
    """
    panel = _described(table.Panel(), about, height=12)
    kept = {"id": "filterFieldsByName", "options": {"include": {"names": list(columns)}}}
    order = {
        "id": "organize",
        "options": {
            "indexByName": {name: place for place, name in enumerate(columns)},
            "renameByName": dict(columns),
        },
    }
    for step in (kept, order):
        transformation = dashboard.DataTransformerConfig(str(step["id"]), options=step["options"])
        panel = panel.with_transformation(transformation)
    by_value = common_builders.TableSortByFieldState().display_name(columns["Value"]).desc(False)
    panel = panel.sort_by([by_value])
    return panel.with_target(_query(query, "A").format(PromQueryFormat.TABLE).instant())


def _mapping(words: Mapping[int, tuple[str, str]]) -> dashboard.ValueMap:
    return dashboard.ValueMap(
        options={
            str(value): dashboard.ValueMappingResult(text=text, color=colour, index=place)
            for place, (value, (text, colour)) in enumerate(words.items())
        }
    )
