"""Arguments and options that several commands share, with their shell completion."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

import click

from cli.connection import session_of
from ktt_core.errors import InvalidArgumentError, KttError
from ktt_core.names import check_name

__all__ = [
    "ALL",
    "DATASET",
    "DATASETS",
    "MODEL",
    "MODELS",
    "checkpoint_options",
    "json_option",
    "time_option",
]

Command = TypeVar("Command", bound=Callable[..., Any])

_TIME = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}")


class NameList(click.ParamType):
    """One name, or several separated by commas; each is checked before it can become a path."""

    def __init__(self, what: str, many: bool) -> None:
        self.what = what
        self.many = many
        self.name = f"{what}s" if many else what

    def convert(
        self, value: Any, param: click.Parameter | None, context: click.Context | None
    ) -> tuple[str, ...] | str:
        """Return the names, without repeats, in the order given."""
        if not isinstance(value, str):
            return tuple(value)
        names = [name.strip() for name in value.split(",")] if self.many else [value]
        try:
            checked = [check_name(name, self.what) for name in names]
        except InvalidArgumentError as error:
            self.fail(str(error), param, context)
        return tuple(dict.fromkeys(checked)) if self.many else checked[0]

    def shell_complete(
        self, context: click.Context, param: click.Parameter, incomplete: str
    ) -> list[click.shell_completion.CompletionItem]:
        """Offer the names there are, completing the last of a comma-separated list."""
        before, comma, last = incomplete.rpartition(",") if self.many else ("", "", incomplete)
        return [
            click.shell_completion.CompletionItem(f"{before}{comma}{name}")
            for name in self._known(context)
            if name.startswith(last)
        ]

    def _known(self, context: click.Context) -> list[str]:
        try:
            session = session_of(context)
            if session.connection is not None:
                # Somebody waits at the keyboard.
                quick = replace(session.connection, timeout=2.0, contact=0.0)
                session = replace(session, connection=quick)
            backend = session.backend
            if self.what == "model":
                ids = [model.id for model in backend.list_models()]
                return [*ids, ALL] if self.many else ids
            return [dataset.name for dataset in backend.list_datasets()]
        except (KttError, click.UsageError):
            return []  # A completion has no place to show an error; the command itself will.


DATASET = NameList("dataset", many=False)
DATASETS = NameList("dataset", many=True)
MODEL = NameList("model", many=False)
MODELS = NameList("model", many=True)

#: In place of models' names: all there are.
ALL = "all"

json_option = click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="Print JSON on standard output, and errors as JSON on standard error.",
)


def checkpoint_options(command: Command) -> Command:
    """Add --best, --last and -t; `choose_checkpoint` reads them."""
    command = click.option(
        "--best",
        "label",
        flag_value="best",
        default="best",
        help="The best state by validation (default).",
    )(command)
    command = click.option(
        "--last",
        "label",
        flag_value="last",
        help="The last state: of a run that goes on or was stopped, too. The tf-idf models keep "
        "only the best.",
    )(command)
    return time_option(
        "The run that started at TIME (UTC, as in `ktt checkpoints`: 2026-01-31T12:34:56) "
        "instead of the newest."
    )(command)


def time_option(explanation: str) -> Callable[[Command], Command]:
    """Return what adds -t."""
    return click.option("-t", "--time", metavar="TIME", help=explanation, callback=_check_time)


def _check_time(context: click.Context, param: click.Parameter, value: str | None) -> str | None:
    if value is not None and _TIME.fullmatch(value) is None:
        raise click.BadParameter(
            f"{value!r} is not a time like 2026-01-31T12:34:56", context, param
        )
    return value
