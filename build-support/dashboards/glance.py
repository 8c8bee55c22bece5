"""The first row, which says whether all is well."""

from __future__ import annotations

from dashboards.panels import About, Limits, number
from dashboards.queries import quantile, rate, share
from dashboards.section import Section

__all__ = ["glance"]

_UP = {0: ("down", "red"), 1: ("up", "green")}
_ALARM = {0: ("no alarm", "green"), 1: ("ALARM", "red")}


def glance() -> Section:
    """Return the figures that an operator looks at first."""
    return Section(
        "At a glance",
        [
            number(
                About(
                    "Inference",
                    "Whether Prometheus reaches the inference service. Down: `docker-compose ps`,"
                    " then `docker-compose logs inference`; it is started anew by itself.",
                    width=3,
                ),
                'min(up{job="inference"})',
                words=_UP,
            ),
            number(
                About(
                    "Monitor",
                    "Whether Prometheus reaches the monitor. While it is down predictions go on,"
                    " and their rows wait and are dropped at last: `docker-compose logs"
                    " monitoring`.",
                    width=3,
                ),
                'min(up{job="monitoring"})',
                words=_UP,
            ),
            number(
                About(
                    "Requests",
                    "Answered requests per second, errors among them.",
                    unit="reqps",
                    width=3,
                ),
                rate("ktt_requests_total"),
            ),
            number(
                About(
                    "Errors",
                    "The share of requests that the service failed to answer (5xx). What a client"
                    " sent wrong (4xx) is not counted here. Above 1 %: see the log.",
                    unit="percentunit",
                    width=3,
                ),
                share("ktt_requests_total", 'code=~"5.."'),
                Limits(0.001, 0.01),
            ),
            number(
                About(
                    "Latency, p99",
                    "One request in a hundred took longer than this. See the row Traffic.",
                    unit="s",
                    width=3,
                ),
                quantile(0.99, "ktt_request_duration_seconds"),
                Limits(0.5, 1),
            ),
            number(
                About(
                    "Drift",
                    "Whether a monitor says that the texts of the last window are not like those"
                    " the model was trained on. One alarm in twenty windows is chance; alarms that"
                    " stay are not: see the row Drift.",
                    width=3,
                ),
                "max(ktt_monitoring_drift_alarm)",
                Limits(bad=1),
                words=_ALARM,
            ),
            number(
                About(
                    "Estimated accuracy",
                    "What the model itself expects to get right in this window, from its"
                    " calibrated probabilities. It needs no labels, and it is too high where the"
                    " model is wrong and sure of it.",
                    unit="percentunit",
                    width=3,
                ),
                "max(ktt_monitoring_estimated_accuracy)",
            ),
            number(
                About(
                    "Alerts",
                    "Alert rules that fire now; Prometheus lists them on its page Alerts (port"
                    " 9090), and the operator guide says what to do about each.",
                    width=3,
                ),
                'count(ALERTS{alertstate="firing"}) or vector(0)',
                Limits(bad=1),
            ),
        ],
    )
