"""What the operator of a bundle is shown, row by row, from what is looked at first to what explains it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dashboards.panels import About
from dashboards.panels import Limits
from dashboards.panels import PanelBuilder
from dashboards.panels import bars
from dashboards.panels import density
from dashboards.panels import lines
from dashboards.panels import number
from dashboards.panels import ranking
from dashboards.panels import states
from dashboards.panels import status_map
from dashboards.queries import quantile
from dashboards.queries import rate
from dashboards.queries import share

__all__ = ["Section", "sections"]

_SECONDS, _SHARE, _RATE, _ROWS_A_SECOND = "s", "percentunit", "reqps", "rowsps"
_UP = {0: ("down", "red"), 1: ("up", "green")}
_ALARM = {0: ("no alarm", "green"), 1: ("ALARM", "red")}
_DRIFTED = {0: ("as the reference", "green"), 1: ("drifted", "red")}
# Features are columns named by numbers; all others are scores of classes.
_FEATURES = 'column=~"[0-9]+"'


@dataclass(frozen=True)
class Section:
    """A titled row of panels."""

    title: str
    panels: Sequence[PanelBuilder]


def sections(features: str) -> list[Section]:
    """Return the rows of a dashboard.

    Parameters
    ----------
    features
        What the model's features are, in a sentence.
    """
    return [
        _glance(),
        _traffic(),
        _model(),
        _drift(features),
        _predictions(),
        _quality(),
        _rows(),
        _monitor(),
    ]


def _glance() -> Section:
    return Section(
        "At a glance",
        [
            number(
                About(
                    "Inference",
                    "Whether Prometheus reaches the inference service. Down: `docker-compose ps`, then"
                    " `docker-compose logs inference`; it is started anew by itself.",
                    width=3,
                ),
                'min(up{job="inference"})',
                words=_UP,
            ),
            number(
                About(
                    "Monitor",
                    "Whether Prometheus reaches the monitor. While it is down predictions go on, and their rows"
                    " wait and are dropped at last: `docker-compose logs monitoring`.",
                    width=3,
                ),
                'min(up{job="monitoring"})',
                words=_UP,
            ),
            number(
                About(
                    "Requests",
                    "Answered requests per second, errors among them.",
                    unit=_RATE,
                    width=3,
                ),
                rate("ktt_requests_total"),
            ),
            number(
                About(
                    "Errors",
                    "The share of requests that the service failed to answer (5xx). What a client sent wrong (4xx) is"
                    " not counted here. Above 1 %: look into the service's log.",
                    unit=_SHARE,
                    width=3,
                ),
                share("ktt_requests_total", 'code=~"5.."'),
                Limits(0.001, 0.01),
            ),
            number(
                About(
                    "Latency, p99",
                    "One request in a hundred took longer than this. See the row Traffic.",
                    unit=_SECONDS,
                    width=3,
                ),
                quantile(0.99, "ktt_request_duration_seconds"),
                Limits(0.5, 1),
            ),
            number(
                About(
                    "Drift",
                    "Whether a monitor says that the texts of the last window are not like those the model was"
                    " trained on. One alarm in twenty windows is chance; alarms that stay are not: see the row"
                    " Drift.",
                    width=3,
                ),
                "max(ktt_monitoring_drift_alarm)",
                Limits(bad=1),
                words=_ALARM,
            ),
            number(
                About(
                    "Estimated accuracy",
                    "What the model itself expects to get right in this window, from its calibrated probabilities."
                    " It needs no labels, and it is too high where the model is wrong and sure of it.",
                    unit=_SHARE,
                    width=3,
                ),
                "max(ktt_monitoring_estimated_accuracy)",
            ),
            number(
                About(
                    "Alerts",
                    "Alert rules that fire now; Prometheus lists them on its page Alerts (port 9090), and the"
                    " operator guide says what to do about each.",
                    width=3,
                ),
                'count(ALERTS{alertstate="firing"}) or vector(0)',
                Limits(bad=1),
            ),
        ],
    )


def _traffic() -> Section:
    name = "ktt_request_duration_seconds"
    return Section(
        "Traffic",
        [
            lines(
                About(
                    "Requests by status",
                    "200: answered. 400: the client sent something wrong, and was told what. 5xx: the service failed;"
                    " its log says why, without the text.",
                    unit=_RATE,
                ),
                {"{{code}}": rate("ktt_requests_total", "code")},
                stacked=True,
            ),
            lines(
                About(
                    "Share of errors",
                    "Many 4xx: a client has changed, or somebody tries things out. Any lasting 5xx: a fault here.",
                    unit=_SHARE,
                ),
                {
                    "5xx, the service": share("ktt_requests_total", 'code=~"5.."'),
                    "4xx, the client": share("ktt_requests_total", 'code=~"4.."'),
                },
                Limits(bad=0.01),
            ),
            lines(
                About(
                    "Latency",
                    "From the request's arrival to the answer. It rises with the load: when batches and model time"
                    " below rise too, the machine is full, and more workers or another machine help; when they"
                    " do not, something else takes the processor.",
                    unit=_SECONDS,
                ),
                {
                    "p50": quantile(0.5, name),
                    "p95": quantile(0.95, name),
                    "p99": quantile(0.99, name),
                },
                Limits(bad=1),
            ),
        ],
    )


def _model() -> Section:
    return Section(
        "The model",
        [
            lines(
                About(
                    "Texts per call of the model",
                    "Requests that come at the same time are answered together. 1 under load means that batching is"
                    " off, or that clients wait for one another.",
                    width=6,
                ),
                {
                    "mean": f"{rate('ktt_batch_rows_sum')} / {rate('ktt_batch_rows_count')}",
                    "p95": quantile(0.95, "ktt_batch_rows"),
                },
            ),
            lines(
                About(
                    "Time of the model",
                    "One call, for all texts of a batch. What is missing to the latency above is waiting.",
                    unit=_SECONDS,
                    width=6,
                ),
                {
                    "p50": quantile(0.5, "ktt_model_duration_seconds"),
                    "p99": quantile(0.99, "ktt_model_duration_seconds"),
                },
            ),
            density(
                About(
                    "Confidence",
                    "The probability of the answered path, darker where more answers are. A model on familiar texts"
                    " is mostly sure; when the mass moves down, texts have come that it was not trained on.",
                    unit=_SHARE,
                    width=6,
                ),
                rate("ktt_confidence_bucket", "le"),
            ),
            lines(
                About(
                    "Confidence, quartiles",
                    "A quarter, a half and three quarters of the answers are less sure than these.",
                    unit=_SHARE,
                    width=6,
                ),
                {
                    "25 %": quantile(0.25, "ktt_confidence"),
                    "50 %": quantile(0.5, "ktt_confidence"),
                    "75 %": quantile(0.75, "ktt_confidence"),
                },
                top=1,
            ),
        ],
    )


def _drift(features: str) -> Section:
    return Section(
        "Drift: are the texts still like those of the reference?",
        [
            states(
                About(
                    "Alarm, by monitor",
                    "data_drift looks at the features and scores, cat_target_drift at the predicted classes. By default"
                    " a window without drift raises an alarm one time in twenty. Several red windows in a row: read"
                    " some of the texts, see the report page of the monitor (port 5001, /report), and retrain"
                    " if the texts are here to stay.",
                ),
                "max by (monitor) (ktt_monitoring_drift_alarm)",
                "{{monitor}}",
                _ALARM,
            ),
            lines(
                About(
                    "Drifted columns",
                    "How many columns of a window are not distributed as in the reference. A few without an alarm are"
                    " chance.",
                ),
                {
                    "{{monitor}}: drifted": "max by (monitor) (ktt_monitoring_drifted_columns)",
                    "{{monitor}}: looked at": "max by (monitor) (ktt_monitoring_columns)",
                },
            ),
            lines(
                About(
                    "Share of columns that drifted",
                    "One or two columns: one property of the texts has changed, such as their length. Most of them:"
                    " other texts altogether, another language or another client.",
                    unit=_SHARE,
                ),
                {
                    "{{monitor}}": "max by (monitor) (ktt_monitoring_drifted_columns) /"
                    " (max by (monitor) (ktt_monitoring_columns) > 0)"
                },
                top=1,
            ),
            status_map(
                About(
                    "Drift of each feature",
                    f"A row per feature, a cell per point in time. {features} A row that stays red says which property"
                    " moved; a column of red says when.",
                    width=12,
                ),
                f"max by (column) (ktt_monitoring_column_drifted{{{_FEATURES}}})",
                "feature {{column}}",
                _DRIFTED,
            ),
            ranking(
                About(
                    "Columns that drifted, and how far",
                    "The score is the statistical test's, as the report page names it: a p-value, where small is"
                    " drift, or a distance, where large is.",
                    width=12,
                ),
                "max by (monitor, column) (ktt_monitoring_column_drift_score)"
                " and topk(50, max by (monitor, column) (ktt_monitoring_column_drifted))",
                {"monitor": "Monitor", "column": "Column", "Value": "Score"},
            ),
        ],
    )


def _predictions() -> Section:
    by_class = "max by (class_name, data) (ktt_monitoring_class_share"
    return Section(
        "Predictions against the reference",
        [
            bars(
                About(
                    "Predicted classes now",
                    "The share of each class among the last window's predictions, beside its share in the"
                    " reference. A class that takes over, or vanishes, is either news or a fault in what is sent.",
                    unit=_SHARE,
                    width=9,
                ),
                {"{{class_name}} ({{data}})": f"{by_class})"},
            ),
            lines(
                About(
                    "Predicted classes, window less reference",
                    "0: as often as in the reference. With a window of 30 texts a class may easily be off by ten"
                    " points; what stays off is no chance.",
                    unit=_SHARE,
                    width=7,
                ),
                {
                    "{{class_name}}": f'sum by (class_name) ({by_class}{{data="window"}}))'
                    f' - sum by (class_name) ({by_class}{{data="reference"}}))'
                },
            ),
            lines(
                About(
                    "Mean confidence and estimated accuracy",
                    "Calibrated probabilities say how often the model will be right, as long as the texts are such"
                    " as it knows. The window below the reference: expect more errors, and have some predictions"
                    " checked by hand.",
                    unit=_SHARE,
                    width=8,
                ),
                {
                    "mean confidence, {{data}}": "max by (data) (ktt_monitoring_confidence_mean)",
                    "estimated accuracy": "max(ktt_monitoring_estimated_accuracy)",
                },
                top=1,
            ),
        ],
    )


def _quality() -> Section:
    return Section(
        "Quality, where labels come back",
        [
            lines(
                About(
                    "Measured quality",
                    "Empty until true classes are sent to the monitor (POST /feedback) and a performance monitor is"
                    " switched on in evidently.yaml. This is the truth that the rows above only estimate.",
                    width=16,
                ),
                {"{{monitor}}: {{metric}}": "max by (monitor, metric) (ktt_monitoring_quality)"},
            ),
            lines(
                About(
                    "Labels",
                    "joined: they found their row by the request's id. unknown: the row had left the window, or the"
                    " id is none of this service's.",
                    unit="cps",
                ),
                {"{{outcome}}": rate("ktt_monitoring_feedback_total", "outcome")},
                stacked=True,
            ),
        ],
    )


def _rows() -> Section:
    return Section(
        "Rows on their way to the monitor",
        [
            lines(
                About(
                    "Sent and dropped",
                    "Every prediction is a row. Dropped rows are missing from the drift figures and from nothing else:"
                    " the monitor is down, hangs, or is slower than the traffic.",
                    unit=_ROWS_A_SECOND,
                ),
                {"{{outcome}}": rate("ktt_monitor_rows_total", "outcome")},
                stacked=True,
            ),
            lines(
                About(
                    "Waiting",
                    "Rows in the queue (KTT_MONITOR_QUEUE, 10,000 a worker by default). A queue that only grows ends in"
                    " dropped rows.",
                ),
                {"rows": "sum(ktt_monitor_rows_queued)"},
            ),
            lines(
                About(
                    "Failed posts",
                    "Attempts that the monitor refused, or did not answer in time. They are repeated, more and more"
                    " slowly.",
                    unit="cps",
                ),
                {"posts": rate("ktt_monitor_posts_failed_total")},
            ),
        ],
    )


def _monitor() -> Section:
    return Section(
        "The monitor itself",
        [
            lines(
                About(
                    "Lag",
                    "The age of the oldest row that no computation has seen. It goes up and down with"
                    " calculation_period_sec; above several periods the computations do not keep up, or fail.",
                    unit=_SECONDS,
                    width=6,
                ),
                {"lag": "max(ktt_monitoring_lag_seconds)"},
                Limits(bad=300),
            ),
            lines(
                About(
                    "Computations",
                    "failed: the monitor's log has the reason, and the figures above are those of the last that"
                    " succeeded.",
                    unit="cps",
                    width=6,
                ),
                {"{{outcome}}": rate("ktt_monitoring_computations_total", "outcome")},
            ),
            lines(
                About(
                    "Time of a computation",
                    "When this nears calculation_period_sec: a longer period, or a smaller window.",
                    unit=_SECONDS,
                    width=6,
                ),
                {
                    "{{monitor}}, p95": quantile(
                        0.95, "ktt_monitoring_computation_duration_seconds", "monitor"
                    )
                },
            ),
            number(
                About(
                    "Last computation",
                    "How long ago. Before min_reference_size rows have come there is none.",
                    unit=_SECONDS,
                    width=3,
                ),
                "time() - max(ktt_monitoring_last_computation_timestamp_seconds)",
            ),
            number(
                About(
                    "Window",
                    "Rows that the next computation looks at, window_size at most.",
                    width=3,
                ),
                "max(ktt_monitoring_window_rows)",
            ),
            number(
                About(
                    "Reference",
                    "Rows that the window is compared with.",
                    width=3,
                ),
                "max(ktt_monitoring_reference_rows)",
            ),
            lines(
                About(
                    "Rows received",
                    "What came in at the monitor.",
                    unit=_ROWS_A_SECOND,
                    width=9,
                ),
                {"received": rate("ktt_monitoring_rows_received_total")},
            ),
            lines(
                About(
                    "Rows refused",
                    "Rows of another width, or that are no numbers: something else than this bundle's inference sends"
                    " to the monitor.",
                    unit=_ROWS_A_SECOND,
                    width=9,
                ),
                {"{{reason}}": rate("ktt_monitoring_rows_rejected_total", "reason")},
            ),
        ],
    )
