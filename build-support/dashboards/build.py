"""A model's dashboard as the JSON that Grafana reads."""

from __future__ import annotations

import json

from grafana_foundation_sdk.builders import dashboard as dashboard_builders
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard

from dashboards.glance import glance
from dashboards.models import RegisteredModel
from dashboards.monitoring import drift, monitor, predictions, quality
from dashboards.panels import SOURCE
from dashboards.section import Section
from dashboards.serving import model as model_section
from dashboards.serving import rows, traffic

__all__ = ["dashboard_json"]

_FEATURES = {
    "pytorch": (
        "An encoder feature is the mean of 32 neighbouring numbers of the encoder's pooled output:"
        " none of them has a meaning by itself."
    ),
    "": "What a feature is, the model's own code says.",
    "sklearn": (
        "The word mixtures are random projections of the text's words, none of which has a meaning"
        " by itself; text length is in characters, and unknown words is the share of its words"
        " that training never saw."
    ),
}
_GUIDE = "docs/operator-guide.md of KTT says how to read it and what to do about each alert."


def dashboard_json(model: RegisteredModel) -> str:
    """Return the file's content; the same model always gives the same bytes.

    Parameters
    ----------
    model
        Whose bundle it is for.
    """
    built = _dashboard(model).build()
    # Ids in order, so that a panel's address stays and nothing is left to the server.
    for number, panel in enumerate(built.panels or [], start=1):
        panel.id_val = number
    return json.dumps(built, cls=JSONEncoder, indent=2, ensure_ascii=False) + "\n"


def _dashboard(model: RegisteredModel) -> dashboard_builders.Dashboard:
    board = dashboard_builders.Dashboard(f"KTT: {model.display_name}").uid(f"ktt-{model.name}")
    board = board.description(f"Inference with {model.name}, and its monitor. {_GUIDE}")
    board = board.tags(["ktt", model.name]).timezone("browser").time("now-1h", "now").refresh("10s")
    board = board.tooltip(dashboard.DashboardCursorSync.CROSSHAIR).readonly()
    source = dashboard_builders.DatasourceVariable("datasource").label("Prometheus")
    board = board.with_variable(source.type("prometheus")).annotation(_AlertMarks())
    board = board.link(
        _link("Drift report", 5001, "/report", "The monitor's page on the last window")
    )
    board = board.link(_link("Alert rules", 9090, "/alerts", "Prometheus' page"))
    for section in _sections(_FEATURES[model.framework]):
        board = board.with_row(dashboard_builders.Row(section.title))
        for panel in section.panels:
            board = board.with_panel(panel)
    return board


def _sections(features: str) -> list[Section]:
    """Return the rows, from what is looked at first to what explains it."""
    return [
        glance(),
        traffic(),
        model_section(),
        drift(features),
        predictions(),
        quality(),
        rows(),
        monitor(),
    ]


class _AlertMarks(dashboard_builders.AnnotationQuery):
    """Marks the times at which an alert fired, across all panels."""

    def build(self) -> dashboard.AnnotationQuery:
        """Return the query; the library's builder has no method for its expression."""
        marks = self.name("Alerts").datasource(SOURCE).enable(True).icon_color("red")
        built = super(_AlertMarks, marks).build()
        built.expr = 'ALERTS{alertstate="firing"}'
        return built


def _link(title: str, port: int, path: str, tooltip: str) -> dashboard_builders.DashboardLink:
    link = dashboard_builders.DashboardLink(title).type(dashboard.DashboardLinkType.LINK)
    link = link.url(f"http://localhost:{port}{path}").target_blank(True).icon("external link")
    return link.tooltip(f"{tooltip}, on the machine that runs the bundle")
