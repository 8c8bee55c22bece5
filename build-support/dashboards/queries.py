"""Pieces of the panels' PromQL.

``$__rate_interval`` is Grafana's: at least four scrapes, and more where the screen shows less.
"""

from __future__ import annotations

__all__ = ["quantile", "rate", "share"]


def rate(metric: str, *by: str, where: str = "") -> str:
    """Return the query of a counter's increase per second, summed over all labels but the given.

    Parameters
    ----------
    metric
        The counter, or the buckets of a histogram.
    by
        The labels to keep apart.
    where
        Matchers of labels, with commas between them.
    """
    matchers = f"{{{where}}}" if where else ""
    increase = f"(rate({metric}{matchers}[$__rate_interval]))"
    return f"sum by ({', '.join(by)}) {increase}" if by else f"sum {increase}"


def quantile(wanted: float, histogram: str, *by: str) -> str:
    """Return the query of a histogram's quantile.

    Parameters
    ----------
    wanted
        Which quantile, in (0, 1).
    histogram
        Its name, without ``_bucket``.
    by
        The labels to keep apart.
    """
    return f"histogram_quantile({wanted}, {rate(f'{histogram}_bucket', 'le', *by)})"


def share(counter: str, where: str) -> str:
    """Return the query of the share, in [0, 1], of a counter's increase that matches.

    It is 0 where nothing has matched so far and there is no such series, and nothing where there is
    no counter either.
    """
    total = rate(counter)
    return f"({rate(counter, where=where)} or 0 * {total}) / {total}"
