"""What the inference service reports."""

from __future__ import annotations

from dashboards.panels import About, Limits, density, lines
from dashboards.queries import quantile, rate, share
from dashboards.section import Section

__all__ = ["model", "rows", "traffic"]


def traffic() -> Section:
    """Return what clients get to feel."""
    name = "ktt_request_duration_seconds"
    return Section(
        "Traffic",
        [
            lines(
                About(
                    "Requests by status",
                    "200: answered. 400: the client sent something wrong, and was told what. 5xx:"
                    " the service failed; its log says why, without the text.",
                    unit="reqps",
                ),
                {"{{code}}": rate("ktt_requests_total", "code")},
                stacked=True,
            ),
            lines(
                About(
                    "Share of errors",
                    "Many 4xx: a client has changed, or somebody tries things out. Any lasting"
                    " 5xx: a fault here.",
                    unit="percentunit",
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
                    "From the request's arrival to the answer. It rises with the load: when"
                    " batches and model time below rise too, the machine is full, and more workers"
                    " or another machine help; when they do not, something else takes the"
                    " processor.",
                    unit="s",
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


def model() -> Section:
    """Return what the model does with the texts."""
    return Section(
        "The model",
        [
            lines(
                About(
                    "Texts per call of the model",
                    "Requests that come at the same time are answered together. 1 under load means"
                    " that batching is off, or that clients wait for one another.",
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
                    "One call, for all texts of a batch. What is missing to the latency above is"
                    " waiting.",
                    unit="s",
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
                    "The probability of the answered path, darker where more answers are. A model"
                    " on familiar texts is mostly sure; when the mass moves down, texts have come"
                    " that it was not trained on.",
                    unit="percentunit",
                    width=6,
                ),
                rate("ktt_confidence_bucket", "le"),
            ),
            lines(
                About(
                    "Confidence, quartiles",
                    "A quarter, a half and three quarters of the answers are less sure than these.",
                    unit="percentunit",
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


def rows() -> Section:
    """Return what becomes of the rows that predictions leave."""
    return Section(
        "Rows on their way to the monitor",
        [
            lines(
                About(
                    "Sent and dropped",
                    "Every prediction is a row. Dropped rows are missing from the drift figures"
                    " and from nothing else: the monitor is down, hangs, or is slower than the"
                    " traffic.",
                    unit="rowsps",
                ),
                {"{{outcome}}": rate("ktt_monitor_rows_total", "outcome")},
                stacked=True,
            ),
            lines(
                About(
                    "Waiting",
                    "Rows in the queue (KTT_MONITOR_QUEUE, 10,000 a worker by default). A queue"
                    " that only grows ends in dropped rows.",
                ),
                {"rows": "sum(ktt_monitor_rows_queued)"},
            ),
            lines(
                About(
                    "Failed posts",
                    "Attempts that the monitor refused, or did not answer in time. They are"
                    " repeated, more and more slowly.",
                    unit="cps",
                ),
                {"posts": rate("ktt_monitor_posts_failed_total")},
            ),
        ],
    )
