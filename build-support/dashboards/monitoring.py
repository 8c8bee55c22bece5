"""What the monitor reports."""

from __future__ import annotations

from dashboards.panels import About, Limits, bars, lines, number, ranking, states, status_map
from dashboards.queries import quantile, rate
from dashboards.section import Section

__all__ = ["drift", "monitor", "predictions", "quality"]

_ALARM = {0: ("no alarm", "green"), 1: ("ALARM", "red")}
_DRIFTED = {0: ("as the reference", "green"), 1: ("drifted", "red")}
_COLUMNS = 'ktt_monitoring_column_drifted{monitor="data_drift"}'


def drift(features: str) -> Section:
    """Return how far the texts are from the reference.

    Parameters
    ----------
    features
        What the features are, in a sentence.
    """
    return Section(
        "Drift: are the texts still like those of the reference?",
        [
            states(
                About(
                    "Alarm, by monitor",
                    "data_drift looks at the features and the confidence, cat_target_drift at the"
                    " predicted classes, the performance monitors at labels. By default a window"
                    " without drift raises an alarm one time in twenty. Several red windows in a"
                    " row: read some of the texts, see the report page of the monitor (port 5001,"
                    " /report), and retrain if the texts are here to stay.",
                ),
                "max by (monitor) (ktt_monitoring_drift_alarm)",
                "{{monitor}}",
                _ALARM,
            ),
            lines(
                About(
                    "Drifted columns",
                    "How many columns of a window are not distributed as in the reference. A few"
                    " without an alarm are chance.",
                ),
                {
                    "{{monitor}}: drifted": "max by (monitor) (ktt_monitoring_drifted_columns)",
                    "{{monitor}}: looked at": "max by (monitor) (ktt_monitoring_columns)",
                },
            ),
            lines(
                About(
                    "Share of columns that drifted",
                    "One or two columns: one property of the texts has changed, such as their"
                    " length. Most of them: other texts altogether, another language or another"
                    " client.",
                    unit="percentunit",
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
                    "A row per feature, and one for the confidence; those that are drifted now"
                    f" come first. {features} A row that stays red says which property moved; a"
                    " column of red says when.",
                    width=12,
                ),
                drifted_first(),
                "{{column}}",
                _DRIFTED,
            ),
            ranking(
                About(
                    "Columns, the least likely first",
                    "The score is the p-value of the statistical test that the report page names:"
                    " how likely such a difference is by chance. Small is drift.",
                    width=12,
                ),
                "bottomk(50, max by (monitor, column) (ktt_monitoring_column_drift_score))",
                {"monitor": "Monitor", "column": "Column", "Value": "p-value"},
            ),
        ],
    )


def drifted_first() -> str:
    """Return the query of each column's drift, those that are drifted at the end first.

    Prometheus gives series in the order of their labels: one whose name comes first decides.
    """
    columns = f"max by (column) ({_COLUMNS})"
    now = f"(max by (column) ({_COLUMNS} @ end()) == 1)"
    first = f'label_replace({columns} and on (column) {now}, "a_order", "0", "", "")'
    return f'{first} or on (column) label_replace({columns}, "a_order", "1", "", "")'


def predictions() -> Section:
    """Return how the predictions differ from the reference."""
    by_class = "max by (class_name, data) (ktt_monitoring_class_share"
    return Section(
        "Predictions against the reference",
        [
            bars(
                About(
                    "Predicted classes now",
                    "The share of each class among the last window's predictions, beside its share"
                    " in the reference. A class that takes over, or vanishes, is either news or a"
                    " fault in what is sent.",
                    unit="percentunit",
                    width=9,
                ),
                {"{{class_name}} ({{data}})": f"{by_class})"},
            ),
            lines(
                About(
                    "Predicted classes, window less reference",
                    "0: as often as in the reference. With a window of 30 texts a class may easily"
                    " be off by ten points; what stays off is no chance.",
                    unit="percentunit",
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
                    "Calibrated probabilities say how often the model will be right, as long as"
                    " the texts are such as it knows. The window below the reference: expect more"
                    " errors, and have some predictions checked by hand.",
                    unit="percentunit",
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


def quality() -> Section:
    """Return what true classes say."""
    return Section(
        "Quality, where labels come back",
        [
            lines(
                About(
                    "Measured quality",
                    "Empty until true classes are sent to the monitor (POST /feedback) and a"
                    " performance monitor is switched on in evidently.yaml. This is the truth that"
                    " the rows above only estimate.",
                    width=16,
                ),
                {"{{monitor}}: {{metric}}": "max by (monitor, metric) (ktt_monitoring_quality)"},
            ),
            lines(
                About(
                    "Labels",
                    "joined: they found their row by the request's id. unknown: the row is too"
                    " long ago, has not come yet, or is none of this service's.",
                    unit="cps",
                ),
                {"{{outcome}}": rate("ktt_monitoring_feedback_total", "outcome")},
                stacked=True,
            ),
        ],
    )


def monitor() -> Section:
    """Return how the monitor itself does."""
    return Section(
        "The monitor itself",
        [
            lines(
                About(
                    "Lag",
                    "The age of the oldest row that no computation has seen. It goes up and down"
                    " with calculation_period_sec; above several periods the computations do not"
                    " keep up, or fail.",
                    unit="s",
                    width=6,
                ),
                {"lag": "max(ktt_monitoring_lag_seconds)"},
                Limits(bad=300),
            ),
            lines(
                About(
                    "Computations",
                    "failed: the monitor's log has the reason, and the figures above are those of"
                    " the last that succeeded.",
                    unit="cps",
                    width=6,
                ),
                {"{{outcome}}": rate("ktt_monitoring_computations_total", "outcome")},
            ),
            lines(
                About(
                    "Time of a computation",
                    "When this nears calculation_period_sec: a longer period, or a smaller window.",
                    unit="s",
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
                    unit="s",
                    width=3,
                ),
                "time() - (max(ktt_monitoring_last_computation_timestamp_seconds) > 0)",
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
                    unit="rowsps",
                    width=9,
                ),
                {"received": rate("ktt_monitoring_rows_received_total")},
            ),
            lines(
                About(
                    "Rows refused",
                    "Rows of another width, or that are no numbers: something else than this"
                    " bundle's inference sends to the monitor.",
                    unit="rowsps",
                    width=9,
                ),
                {"{{reason}}": rate("ktt_monitoring_rows_rejected_total", "reason")},
            ),
        ],
    )
