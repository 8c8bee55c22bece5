"""Display of evaluations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from cli.output import format_figure, in_order, print_table
from cli.printing import echo

if TYPE_CHECKING:
    from ktt_core.difference import Difference
    from trainer import EvaluationResult, UnknownClasses

__all__ = ["print_results"]

# Minimum number of rows for a reliable comparison.
_FEW_ROWS = 50


def print_results(results: Sequence[EvaluationResult]) -> None:
    """Print the metrics of several models side by side, or of each with its baseline."""
    for result in results:
        for warning in result.warnings:
            echo(f"Warning: {result.model}: {warning}", err=True)
    if any(result.comparison for result in results):
        for number, result in enumerate(results):
            if number:
                echo()
            _print_comparison(result)
        return
    first = results[0]
    if not first.on:
        title = f"{first.dataset}, {first.rows:,} {first.split} rows"
        _print_figures(title, [(r.model, r.metrics) for r in results], _costs(results))
        return
    _print_figures(
        f"{first.on}: the rows of classes that the model knows",
        [(result.model, result.metrics) for result in results],
        [("rows", [f"{result.rows:,}" for result in results]), *_costs(results)],
    )
    if any(result.unknown and result.unknown.rows for result in results):
        _print_figures(
            f"all {_all(first):,} rows; a class that the model does not know counts as wrong",
            [(r.model, r.all_rows.figures if r.all_rows else {}) for r in results],
            [],
        )
    for result in results:
        _print_unknown(result.model, result.unknown)
        _print_seen(result)


def _print_comparison(result: EvaluationResult) -> None:
    other = result.comparison
    assert other is not None, "asked for together"
    ours, theirs = f"{result.dataset}/{result.model}", f"{other.dataset}/{other.model}"
    if ours == theirs:
        ours, theirs = f"{ours} (evaluated)", f"{theirs} (baseline)"
    echo(f"{theirs}: {_file(other.checkpoint_path)}")
    echo(f"{ours}: {result.checkpoint.name}")
    both = f"{result.rows:,} of {_all(result):,}"
    _print_differences(
        f"{result.on}: {both} rows are of classes that both know",
        (theirs, other.figures),
        (ours, result.metrics),
        other.differences,
    )
    if result.rows < _all(result) and result.all_rows is not None:
        _print_differences(
            f"all {_all(result):,} rows; a class that a model does not know counts as wrong",
            (theirs, other.all_rows.figures),
            (ours, result.all_rows.figures),
            other.all_differences,
        )
    _print_unknown(theirs, other.unknown)
    _print_unknown(ours, result.unknown)
    _print_seen(result)
    echo(_verdict(ours, theirs, other.differences, "the rows that both know"))
    if result.rows < _all(result):
        echo(_verdict(ours, theirs, other.all_differences, "all rows"))
    if result.rows < _FEW_ROWS:
        echo("these are few rows: whatever the interval says, label more")


def _verdict(ours: str, theirs: str, differences: Mapping[str, Difference], where: str) -> str:
    difference = differences["hierarchical_f1"]
    figures = (
        f"hierarchical F1 {difference.value:+.4f} (95 %: {difference.low:+.4f} to "
        f"{difference.high:+.4f})"
    )
    if difference.sign > 0:
        return f"on {where} {ours} is better: {figures}"
    if difference.sign < 0:
        return f"on {where} {ours} is worse: {figures}"
    return f"on {where} {ours} and {theirs} cannot be told apart: {figures}"


def _print_figures(
    title: str,
    columns: Sequence[tuple[str, Mapping[str, float]]],
    more: Sequence[tuple[str, Sequence[str]]],
) -> None:
    names = dict(in_order({name: None for _, figures in columns for name in figures}))
    echo(title)
    print_table(
        ["metric", *(f"{model}>" for model, _ in columns)],
        [
            (name, *(format_figure(it[name]) if name in it else "-" for _, it in columns))
            for name in names
        ]
        + [(name, *cells) for name, cells in more],
    )


def _print_differences(
    title: str,
    theirs: tuple[str, Mapping[str, float]],
    ours: tuple[str, Mapping[str, float]],
    differences: Mapping[str, Difference],
) -> None:
    def cells(name: str) -> tuple[str, ...]:
        found = (it[1].get(name) for it in (theirs, ours))
        return (name, *("-" if figure is None else format_figure(figure) for figure in found))

    names = dict(in_order({name: None for it in (theirs, ours) for name in it[1]}))
    echo(title)
    print_table(
        ["metric", f"{theirs[0]}>", f"{ours[0]}>", "difference>", "95 % interval>"],
        [
            (
                (*cells(name), f"{it.value:+.4f}", f"{it.low:+.4f} to {it.high:+.4f}")
                if (it := differences.get(name))
                else (*cells(name), "", "")
            )
            for name in names
        ],
    )


def _costs(results: Sequence[EvaluationResult]) -> list[tuple[str, list[str]]]:
    return [
        ("seconds", [f"{r.seconds:,.2f}" if r.seconds else "-" for r in results]),
        (
            "texts per second",
            [f"{r.texts_per_second:,.0f}" if r.texts_per_second else "-" for r in results],
        ),
    ]


def _print_unknown(model: str, unknown: UnknownClasses | None) -> None:
    if unknown is None or not unknown.rows:
        return
    shown = ", ".join(f"{' > '.join(it.path)} ({it.rows:,})" for it in unknown.largest)
    more = ", ..." if unknown.classes > len(unknown.largest) else ""
    partly = (
        f"; of {unknown.partly_known_rows:,} of them it knows the first classes"
        if unknown.partly_known_rows
        else ""
    )
    rows = "row is" if unknown.rows == 1 else "rows are"
    classes = "class" if unknown.classes == 1 else "classes"
    echo(
        f"{model}: {unknown.rows:,} {rows} of {unknown.classes:,} {classes} that it does not "
        f"know{partly}: {shown}{more}"
    )


def _print_seen(result: EvaluationResult) -> None:
    if result.seen_rows:
        rows = "row" if result.seen_rows == 1 else "rows"
        echo(f"left out: {result.seen_rows:,} {rows} with texts that were trained or calibrated on")


def _all(result: EvaluationResult) -> int:
    return result.all_rows.rows if result.all_rows else result.rows


def _file(path: str) -> str:
    return path.rpartition("/")[2]
