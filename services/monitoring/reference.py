"""The reference set: a model's rows on texts that it is meant for."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from .errors import SettingsError
from .layout import LabelKind, Layout, beyond_probabilities
from .settings import Settings, refuse_other_than_file

__all__ = ["Reference", "load_reference"]

_FEWEST_ROWS = 2
# Columns and rows in memory at once: a set may have thousands of both.
_ROWS_AT_ONCE = 1_000
_HASHED_AT_ONCE = 1 << 20


@dataclass(frozen=True)
class Reference:
    """A validated reference set.

    Parameters
    ----------
    layout : Layout
    rows : ndarray of `layout.window_dtype`, shape (n,)
        Oldest first, each marked as seeded.
    fingerprint : str
        Changes with the file and with the layout read from it.
    """

    layout: Layout
    rows: NDArray
    fingerprint: str


def load_reference(settings: Settings) -> Reference:
    """Read the reference set and check it against the settings.

    Raises
    ------
    SettingsError
        If it is missing, cannot be read, or does not match the settings.
    """
    path = settings.reference_path
    refuse_other_than_file(path)
    try:
        file = pq.ParquetFile(path)
    except FileNotFoundError as error:
        raise SettingsError(
            f"the reference {path} does not exist: train with --reference, or set "
            "service.reference_path"
        ) from error
    except (OSError, ValueError, pa.ArrowException) as error:
        raise SettingsError(f"the reference {path} cannot be read as Parquet: {error}") from error
    with file:
        try:
            layout = _layout(file.schema_arrow, settings)
            n_rows = file.metadata.num_rows
            if n_rows < max(_FEWEST_ROWS, settings.window_size if settings.use_reference else 0):
                raise SettingsError(
                    f"it has {n_rows} rows, fewer than a window "
                    f"(service.window_size: {settings.window_size}): make the window smaller, let "
                    "it start empty (service.use_reference: false), or train with more test rows"
                )
            layout = dataclasses.replace(layout, has_probabilities=_has_probabilities(file, layout))
            rows = np.concatenate(list(_read(file, layout)))
        except SettingsError as error:
            raise SettingsError(f"the reference {path}: {error}") from error
        except (OSError, ValueError, pa.ArrowException) as error:
            raise SettingsError(f"the reference {path} cannot be read: {error}") from error
    rows["seeded"] = True
    return Reference(layout, rows, _fingerprint(path, layout))


def _layout(schema: pa.Schema, settings: Settings) -> Layout:
    columns = tuple(schema.names)
    if len(columns) < 2 or len(set(columns)) < len(columns):
        raise SettingsError("it needs a column of targets and at least one other, each once")
    places = {name: place - 1 for place, name in enumerate(columns)}
    _check_prediction(settings.prediction, places)
    for field in list(schema)[1:]:
        if not (pa.types.is_floating(field.type) or pa.types.is_integer(field.type)):
            raise SettingsError(f"the column {field.name!r} holds {field.type}, not numbers")
    first_is_numeric = pa.types.is_floating(schema[0].type) or pa.types.is_integer(schema[0].type)
    predicted = {places[name] for name in settings.prediction}
    if settings.is_regression:
        return _regression(columns, places, first_is_numeric, settings)
    if settings.target not in (None, columns[0]):
        raise SettingsError(
            f"target: {settings.target!r} is not its first column, which is {columns[0]!r}"
        )
    if settings.prediction and not _holds_text(schema[0].type):
        raise SettingsError(
            f"its first column, {columns[0]!r}, holds {schema[0].type}; with score columns it must "
            "hold the names of the true classes"
        )
    features = tuple(place for place in range(len(columns) - 1) if place not in predicted)
    if predicted:
        stray = [columns[place + 1] for place in features if place > min(predicted)]
        if stray:
            raise SettingsError(
                f"the column {stray[0]!r} stands among the score columns, but `prediction:` does "
                "not name it: the reference and evidently.yaml belong to different models"
            )
    return Layout(
        columns=columns,
        features=features,
        scores=tuple(places[name] for name in settings.prediction),
        classes=settings.prediction,
        label_kind=LabelKind.CLASS if settings.prediction else LabelKind.NONE,
        keeps_scores="prob_classification_performance" in settings.monitors,
        labels=settings.labels,
        feature_titles=_titles(settings, len(features)),
    )


def _titles(settings: Settings, n_features: int) -> tuple[str, ...]:
    if settings.feature_titles and len(settings.feature_titles) != n_features:
        raise SettingsError(
            f"it has {n_features} features and `feature_titles:` {len(settings.feature_titles)}: "
            "there must be one for each, in the same order"
        )
    return settings.feature_titles


def _regression(
    columns: tuple[str, ...], places: dict[str, int], first_is_numeric: bool, settings: Settings
) -> Layout:
    estimate = places[settings.prediction[0]]
    target = settings.target or columns[0]
    if target not in places:
        raise SettingsError(f"there is no column {target!r}, which `target:` names")
    truth = places[target] if target != columns[0] else None
    if truth is None and not first_is_numeric:
        if "regression_performance" in settings.monitors:
            raise SettingsError(
                f"the target column {target!r} holds no numbers, which regression_performance "
                "needs: name a numeric column as `target:`, or leave that monitor out"
            )
        kind = LabelKind.NONE
    else:
        kind = LabelKind.NUMBER
    features = tuple(place for place in range(len(columns) - 1) if place not in (estimate, truth))
    return Layout(columns, features, label_kind=kind, estimate=estimate, truth=truth)


def _check_prediction(prediction: tuple[str, ...], places: dict[str, int]) -> None:
    missing = [name for name in prediction if places.get(name, -1) < 0]
    if missing:
        shown = ", ".join(repr(name) for name in missing[:3])
        raise SettingsError(
            f"{len(missing)} of the {len(prediction)} columns that `prediction:` names are not "
            f"among its numbers ({shown}{', ...' if len(missing) > 3 else ''}): the reference and "
            "evidently.yaml belong to different models"
        )


def _holds_text(kind: Any) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_null(kind)


def _has_probabilities(file: pq.ParquetFile, layout: Layout) -> bool:
    """Whether all scores lie between 0 and 1.

    Raises
    ------
    SettingsError
        If one does not, though a monitor needs probabilities.
    """
    names = [layout.columns[place + 1] for place in layout.scores]
    for batch in file.iter_batches(batch_size=_ROWS_AT_ONCE, columns=names):
        for name in names:
            scores = _float32(batch.column(name))
            wrong = scores[beyond_probabilities(scores)]
            if len(wrong) and layout.keeps_scores:
                raise SettingsError(
                    f"the column {name!r} holds {wrong[0]:g}, but prob_classification_performance "
                    "needs probabilities, from 0 to 1: leave that monitor out, or train again with "
                    "--reference"
                )
            if len(wrong):
                return False
    return bool(names)


def _float32(column: pa.Array) -> NDArray[np.float32]:
    with np.errstate(over="ignore"):
        return column.to_numpy(zero_copy_only=False).astype(np.float32)


def _read(file: pq.ParquetFile, layout: Layout) -> Iterator[NDArray]:
    done = 0
    for batch in file.iter_batches(batch_size=_ROWS_AT_ONCE):
        numbers = np.empty((batch.num_rows, layout.width - 1), dtype=np.float32)
        for place in range(layout.width - 1):
            numbers[:, place] = _float32(batch.column(place + 1))
        finite = np.isfinite(numbers)
        if not finite.all():
            row, place = np.argwhere(~finite)[0]
            raise SettingsError(
                f"row {done + int(row)} has no finite number in column "
                f"{layout.columns[int(place) + 1]!r}"
            )
        labels = _labels(batch.column(0).to_pylist(), done, layout)
        yield layout.window_rows(layout.records(numbers, labels))
        done += batch.num_rows


def _labels(values: list[Any], done: int, layout: Layout) -> NDArray[np.float64]:
    labels = np.full(len(values), np.nan)
    if layout.label_kind is LabelKind.NONE or layout.truth is not None:
        return labels
    for row, value in enumerate(values):
        # A missing number of a table from pandas.
        if value is None or value != value:
            continue
        if layout.label_kind is LabelKind.NUMBER:
            if not layout.is_label(float(value)):
                raise SettingsError(f"row {done + row} has the target {value}, no 32-bit number")
            labels[row] = value
            continue
        place = layout.class_index.get(value)
        if place is None:
            raise SettingsError(
                f"row {done + row} has the target {value!r}, which is not in `prediction:`: the "
                "reference and evidently.yaml belong to different models"
            )
        labels[row] = place
    return labels


def _fingerprint(path: Path, layout: Layout) -> str:
    digest = hashlib.sha256(repr((layout.columns, layout.classes, layout.dtype)).encode())
    with path.open("rb") as file:
        while block := file.read(_HASHED_AT_ONCE):
            digest.update(block)
    return digest.hexdigest()
