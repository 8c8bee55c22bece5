"""Options for reading a file of labelled texts, of imports and evaluations."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from ktt_core.datasets.options import ImportOptions

__all__ = ["READING", "import_options_of", "reading_options"]

Command = TypeVar("Command", bound=Callable[..., Any])


class Depth(click.ParamType):
    """A number of levels, or "max"."""

    name = "depth"

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        """Return the placeholder of the value."""
        return "N|max"

    def convert(
        self, value: Any, param: click.Parameter | None, context: click.Context | None
    ) -> int | str:
        """Return the number, or "max"."""
        if isinstance(value, int):
            return value
        if str(value).lower() == "max":
            return "max"
        if not str(value).isdecimal() or not 1 <= int(value) <= 64:
            self.fail(
                f"{value!r} is neither 'max' nor a number of levels from 1 to 64", param, context
            )
        return int(value)


_OPTIONS = (
    click.option(
        "--classes",
        metavar="COL",
        help="The column of the class paths: a list of names, or one string with --sep.",
    ),
    click.option(
        "--sep",
        metavar="TEXT",
        help="What separates the classes in --classes, root first: ' > ' or '/'.",
    ),
    click.option(
        "--level-columns",
        metavar="COL,COL,...",
        help="One column per level, root first, instead of --classes.",
    ),
    click.option(
        "--depth",
        type=Depth(),
        show_default="max",
        help="How many levels to keep. Deeper classes become their ancestor on the last level "
        "kept.",
    ),
    click.option(
        "--split-column",
        metavar="COL",
        help="A column that says train, val or test, instead of --train-ratio and --val-ratio.",
    ),
    click.option(
        "--dedupe",
        is_flag=True,
        help="Keep the first of rows with the same text and path; drop texts under different "
        "paths.",
    ),
    click.option(
        "--on-error",
        type=click.Choice(["stop", "skip"]),
        show_default="stop",
        help="A bad row (no text, a missing level, a class name too long ...): stop with nothing "
        "written, or drop it and report it.",
    ),
)

#: The parameters that `reading_options` adds.
READING = (
    "text",
    "classes",
    "sep",
    "level_columns",
    "depth",
    "split_column",
    "dedupe",
    "on_error",
)

# Options for the columns of class paths: if one is given, none is taken from the dataset.
_LABELS = ("classes", "sep", "level_columns")
# Options of a dataset's import that apply to other files of its kind.
_KEPT = ("text", *_LABELS, "depth")


def reading_options(*, text_required: bool) -> Callable[[Command], Command]:
    """Return a decorator that adds the options; missing ones are None or False.

    Parameters
    ----------
    text_required : bool
        Whether --text must be given.
    """

    def add(command: Command) -> Command:
        for option in reversed(_OPTIONS):
            command = option(command)
        return click.option(
            "--text", required=text_required, metavar="COL", help="The column of the texts."
        )(command)

    return add


def import_options_of(
    given: Mapping[str, Any], like: Mapping[str, Any] | None = None
) -> ImportOptions:
    """Return import options.

    Parameters
    ----------
    given : mapping
        Values of the command line, by parameter; None if missing.
    like : mapping, optional
        The options of a dataset's import, `ImportOptions.to_json`, as defaults for text, classes
        and depth.

    Raises
    ------
    InvalidArgumentError
        If an option is out of range, or two contradict each other.
    """
    from ktt_core.datasets.options import ImportOptions

    said = {name: value for name, value in given.items() if value is not None}
    if "level_columns" in said:
        columns = str(said["level_columns"]).split(",")
        said["level_columns"] = [column.strip() for column in columns]
    kept = {name: like[name] for name in _KEPT if like and like.get(name) is not None}
    if "classes" in said or "level_columns" in said:
        kept = {name: value for name, value in kept.items() if name not in _LABELS}
    return ImportOptions.from_json({"text": "", **kept, **said})
