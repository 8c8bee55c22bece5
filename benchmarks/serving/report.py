"""The figures as a table."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from typing import Any

from serving.measure import Figures

__all__ = ["p99_ratio", "print_report", "ratio"]

_TITLES = {
    "bundle": "bundle",
    "original": "original's design",
    "bentoml": "by bentoml alone",
    "empty": "empty BentoML service",
}


def ratio(ours: Figures, theirs: Figures) -> float:
    """Return how many times as many requests a second ours answered, as the median of the turns."""
    turns = zip(ours.per_second, theirs.per_second, strict=True)
    return round(statistics.median(a / b if b else float("nan") for a, b in turns), 3)


def p99_ratio(one: Figures, other: Figures) -> float:
    """Return how many times the other's p99 one's is, as the median of the turns."""
    turns = zip(one.p99, other.p99, strict=True)
    return round(statistics.median(a / b if b else float("nan") for a, b in turns), 3)


def print_report(result: Mapping[str, Any]) -> None:
    """Print all figures of a model."""
    print(
        f"{result['model']} on {result['dataset']}: {result['leaves']:,} leaves, "
        f"{result['workers']} workers, {result['memory_mb']} MB"
    )
    head = f"{'':<24}{'clients':>8}{'requests/s':>12}{'p50 ms':>10}{'p99 ms':>10}"
    print(f"{head}{'CPU ms':>9}{'clients CPU ms':>16}{'bundle is':>14}")
    for name, points in result["speed"].items():
        for count, figures in points.items():
            times = result["ratios"].get(name, {}).get(count)
            _print_line(_TITLES[name], count, figures, f"{times:.2f} times" if times else "")
    best = max(point["requests_per_second"] for point in result["speed"]["bundle"].values())
    for batch, loop in result["bare_loop"].items():
        print(
            f"bare loop, {batch} at once: {loop['texts_per_second']:.1f} texts/s, "
            f"{loop['cpu_ms']:.3f} ms of processor time a text; the bundle at its best reaches "
            f"{best / loop['texts_per_second']:.0%} of that"
        )
    for state, points in result["monitor"].items():
        for count, figures in points.items():
            times = result["p99_of_monitor_off"].get(state, {}).get(count)
            told = f"p99 {times - 1:+.0%}" if times else ""
            _print_line(f"monitor {state}", count, figures, told)
    _print_lists(result["lists"])
    print(flush=True)


def _print_lists(lists: Mapping[str, Any]) -> None:
    alone = lists["one_client_alone"]
    print(f"one by one, 64 clients: {lists['single_texts_per_second']:.1f} texts/s", end="; ")
    print(f"one client alone: p50 {alone['p50_ms']} ms, p99 {alone['p99_ms']} ms")
    for size, figures in lists["lists"].items():
        beside, failed = figures["one_client_beside"], figures["failures"]
        print(
            f"lists of {size}, 2 clients: {figures['texts_per_second']:.1f} texts/s, "
            f"{figures['times_single']:.2f} times as many; one client beside them: "
            f"p50 {beside['p50_ms']} ms, p99 {beside['p99_ms']} ms"
            + (f"  FAILED: {failed}" if failed else "")
        )


def _print_line(title: str, clients: int, figures: Mapping[str, Any], told: str) -> None:
    failed = f"  FAILED: {figures['failures']}" if figures["failures"] else ""
    print(
        f"{title:<24}{clients:>8}{figures['requests_per_second']:>12.1f}{figures['p50_ms']:>10.2f}"
        f"{figures['p99_ms']:>10.2f}{figures['server_cpu_ms']:>9.3f}"
        f"{figures['clients_cpu_ms']:>16.3f}{told:>14}{failed}"
    )
