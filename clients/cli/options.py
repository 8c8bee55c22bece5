"""Arguments and options that several commands share, with their shell completion."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.shell_completion import CompletionItem

from cli.session import session_of
from ktt_core.errors import InvalidArgumentError, KttError
from ktt_core.names import check_name

if TYPE_CHECKING:
    from cli.backend.protocol import Backend

__all__ = [
    "ALL",
    "DATASET",
    "DATASETS",
    "ENCODER",
    "MODEL",
    "MODELS",
    "TRAINED_DATASET",
    "TRAINED_DATASETS",
    "TRAINED_MODEL",
    "TRAINED_MODELS",
    "checkpoint_options",
    "json_option",
    "offer",
    "time_option",
]

Command = TypeVar("Command", bound=Callable[..., Any])

_TIME = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}")


class NameList(click.ParamType):
    """One name, or several separated by commas; each is checked before it can become a path.

    Parameters
    ----------
    what : str
        "dataset" or "model".
    many : bool
    trained : bool
        Whether to complete only names with checkpoints.
    """

    def __init__(self, what: str, many: bool, trained: bool = False) -> None:
        self.what = what
        self.many = many
        self.trained = trained
        self.name = f"{what}s" if many else what

    def convert(
        self, value: Any, param: click.Parameter | None, context: click.Context | None
    ) -> tuple[str, ...] | str:
        """Return the names, without repeats, in the order given."""
        if not isinstance(value, str):
            return tuple(value)  # a default
        names = [name.strip() for name in value.split(",")] if self.many else [value]
        try:
            checked = [check_name(name, self.what) for name in names]
        except InvalidArgumentError as error:
            self.fail(str(error), param, context)
        return tuple(dict.fromkeys(checked)) if self.many else checked[0]

    def shell_complete(
        self, context: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Complete existing names, for the last of a comma-separated list."""
        before, comma, last = incomplete.rpartition(",") if self.many else ("", "", incomplete)
        there = set(before.split(","))
        return [
            CompletionItem(f"{before}{comma}{name}")
            for name in offer(context, self._known)
            if name.startswith(last) and name not in there
        ]

    def _known(self, context: click.Context, backend: Backend) -> list[str]:
        if self.trained:
            names = self._known_trained(context, backend)
        elif self.what == "model":
            names = [model.id for model in backend.catalogue.list_models()]
        else:
            names = [dataset.name for dataset in backend.catalogue.list_datasets()]
        return [*names, ALL] if names and self.what == "model" and self.many else names

    def _known_trained(self, context: click.Context, backend: Backend) -> list[str]:
        """Return names with a checkpoint that match the rest of the line."""
        checkpoints = backend.catalogue.list_checkpoints()
        if self.what == "dataset":
            return sorted({checkpoint.dataset for checkpoint in checkpoints})
        datasets = _named(context, "dataset")
        return sorted(
            {
                checkpoint.model
                for checkpoint in checkpoints
                if not datasets or checkpoint.dataset in datasets
            }
        )


class EncoderName(click.ParamType):
    """The name of an encoder, or the path of its folder."""

    name = "encoder"

    def shell_complete(
        self, context: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Complete encoders, or folders if none matches."""
        names = offer(
            context,
            lambda _, backend: [encoder.name for encoder in backend.catalogue.list_encoders()],
        )
        fitting = [CompletionItem(name) for name in names if name.startswith(incomplete)]
        return fitting or [CompletionItem(incomplete, type="dir")]


class RunTime(click.ParamType):
    """The time at which a run started."""

    name = "time"

    def shell_complete(
        self, context: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Complete runs with checkpoints that match the line, the newest first."""
        times = sorted(set(offer(context, self._known)), reverse=True)
        return [CompletionItem(time) for time in times if time.startswith(incomplete)]

    def _known(self, context: click.Context, backend: Backend) -> list[str]:
        wanted = {what: _named(context, what) for what in ("model", "dataset")}
        if ALL in wanted["model"]:
            wanted["model"] = set()
        return [
            checkpoint.time
            for checkpoint in backend.catalogue.list_checkpoints()
            if all(
                not names or getattr(checkpoint, what) in names for what, names in wanted.items()
            )
        ]


def _named(context: click.Context, what: str) -> set[str]:
    """Return the datasets or models that an unfinished line names; empty if it names none."""
    for parameter in context.command.params:
        if parameter.name not in (what, f"{what}s"):
            continue
        given = context.params.get(parameter.name)
        if not given and isinstance(parameter, click.Argument) and context.args:
            # If the last option has no value yet, click does not parse arguments. A dataset is
            # always the first.
            given = parameter.type.convert(context.args[0], parameter, context)
        if given:
            return {given} if isinstance(given, str) else set(given)
    return set()


Offered = TypeVar("Offered")


def offer(
    context: click.Context, known: Callable[[click.Context, Backend], list[Offered]]
) -> list[Offered]:
    """Return completions, or none if they cannot be computed quickly."""
    try:
        session = session_of(context)
        if session.connection is not None:
            # Completion must be fast.
            quick = replace(session.connection, timeout=2.0, contact=0.0)
            session = replace(session, connection=quick)
        with contextlib.closing(session):
            return known(context, session.backend)
    except (KttError, click.UsageError):
        return []  # A completion has no place to show an error; the command itself will.


DATASET = NameList("dataset", many=False)
DATASETS = NameList("dataset", many=True)
MODEL = NameList("model", many=False)
MODELS = NameList("model", many=True)
TRAINED_DATASET = NameList("dataset", many=False, trained=True)
TRAINED_DATASETS = NameList("dataset", many=True, trained=True)
TRAINED_MODEL = NameList("model", many=False, trained=True)
TRAINED_MODELS = NameList("model", many=True, trained=True)
ENCODER = EncoderName()

#: Value for all models.
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
        help="The last state, of unfinished runs, too. The tf-idf models keep " "only the best.",
    )(command)
    return time_option(
        "The run that started at TIME (UTC, as in `ktt checkpoints`: 2026-01-31T12:34:56) "
        "instead of the newest."
    )(command)


def time_option(explanation: str) -> Callable[[Command], Command]:
    """Return a decorator that adds -t."""
    return click.option(
        "-t", "--time", type=RunTime(), metavar="TIME", help=explanation, callback=_check_time
    )


def _check_time(context: click.Context, param: click.Parameter, value: str | None) -> str | None:
    if value is not None and _TIME.fullmatch(value) is None:
        raise click.BadParameter(
            f"{value!r} is not a time like 2026-01-31T12:34:56", context, param
        )
    return value
