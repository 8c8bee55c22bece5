"""How a file is read: as the command line says, and where it says nothing, as the dataset was."""

from __future__ import annotations

import pytest

from cli.import_options import READING, import_options_of
from ktt_core.datasets.options import ImportOptions
from ktt_core.errors import InvalidArgumentError

NOTHING = dict.fromkeys(READING)
LIKE = ImportOptions("title", "path", " > ", depth=2, dedupe=True, on_error="skip", seed=3)


def test_what_is_not_said_is_as_the_dataset_was_imported() -> None:
    assert import_options_of(NOTHING, LIKE.to_json()) == ImportOptions(
        "title", "path", " > ", depth=2
    )


def test_new_label_columns_are_said_as_a_whole() -> None:
    given = {**NOTHING, "level_columns": "a, b"}
    assert import_options_of(given, LIKE.to_json()) == ImportOptions(
        "title", level_columns=("a", "b"), depth=2
    )
    assert import_options_of({**NOTHING, "sep": "/"}, LIKE.to_json()) == ImportOptions(
        "title", "path", "/", depth=2
    )
    other = {**NOTHING, "text": "body", "classes": "labels"}
    assert import_options_of(other, LIKE.to_json()) == ImportOptions("body", "labels", depth=2)


def test_an_import_says_it_all() -> None:
    given = {**NOTHING, "text": "t", "classes": "c", "depth": "max", "val_ratio": 0.2}
    assert import_options_of(given) == ImportOptions("t", "c", val_ratio=0.2)
    with pytest.raises(InvalidArgumentError, match="--text"):
        import_options_of(NOTHING)
    with pytest.raises(InvalidArgumentError, match="--classes COLUMN"):
        import_options_of({**NOTHING, "text": "t"})
