"""``evidently.yaml``: what to monitor, and how."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import yaml

from .errors import SettingsError

__all__ = [
    "CLASSIFICATION_MONITORS",
    "MONITORS",
    "PERFORMANCE_MONITORS",
    "Settings",
    "load_settings",
    "refuse_other_than_file",
]

#: All monitors, in the order of computation and display.
MONITORS = (
    "data_drift",
    "cat_target_drift",
    "classification_performance",
    "prob_classification_performance",
    "regression_performance",
)
#: Those that need labels.
PERFORMANCE_MONITORS = MONITORS[2:]
#: Those that need `prediction` to be the list of score columns.
CLASSIFICATION_MONITORS = MONITORS[1:4]

_TOP_LEVEL = ("service", "prediction", "target", "labels", "feature_titles")
_LARGEST_WINDOW = 100_000
_LARGEST_FEEDBACK = 1_000_000
_MOST_MERGED = 1_000
_MOST_SHOWN = 80


@dataclass(frozen=True)
class Settings:
    """The fields of ``evidently.yaml``.

    Parameters
    ----------
    reference_path : Path
        The reference set (Parquet); in the file, relative to the file's own folder.
    min_reference_size : int
        Rows to collect before the first computation, at least `window_size`, including those that
        the window started with.
    use_reference : bool
        Whether the window starts with the last `window_size` rows of the reference.
    moving_reference : bool
        Whether rows that leave the window replace the oldest rows of the reference.
    window_size : int
        Number of newest rows that are compared with the reference.
    calculation_period_sec : float
        Seconds between two computations.
    monitors : tuple of str
        See `MONITORS`.
    alarm_rate : float
        Allowed share of alarms among windows without drift, per monitor.
    feedback_size : int
        Number of rows that are remembered for later labels.
    prediction : tuple of str
        The score columns, one per class; or the one column of a regression's estimate.
    target : str, optional
        The regression's column of true values; by default the reference's first column.
    is_regression : bool
        Whether `prediction` was one name, not a list.
    labels : tuple of str
        The path of each class of `prediction` as ``/predict`` returns it, accepted as a label. May
        be empty.
    feature_titles : tuple of str
        Readable names of the features, in the order of their columns. May be empty.
    """

    reference_path: Path
    min_reference_size: int = 30
    use_reference: bool = True
    moving_reference: bool = False
    window_size: int = 30
    calculation_period_sec: float = 60.0
    monitors: tuple[str, ...] = ("cat_target_drift", "data_drift")
    alarm_rate: float = 0.05
    feedback_size: int = 10_000
    prediction: tuple[str, ...] = ()
    target: str | None = None
    is_regression: bool = False
    labels: tuple[str, ...] = ()
    feature_titles: tuple[str, ...] = ()


# What a value that is not of its tag (`!!bool maybe`) makes PyYAML raise, too.
_NOT_YAML = (
    AttributeError, LookupError, OverflowError, RecursionError, TypeError, ValueError,
    yaml.YAMLError,
)  # fmt: skip


class _BoundedSafeLoader(yaml.SafeLoader):
    """A safe loader, which makes plain values only, with a limit on merged mappings."""

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        super().flatten_mapping(node)
        if len(node.value) > _MOST_MERGED:
            raise yaml.constructor.ConstructorError(
                None, None, "too many keys are merged into one mapping", node.start_mark
            )


_SERVICE_FIELDS = tuple(
    field.name
    for field in fields(Settings)
    if field.name not in ("prediction", "target", "is_regression", "labels", "feature_titles")
)


def refuse_other_than_file(path: Path) -> None:
    """Refuse a pipe or a device, whose reading could wait for ever, and a folder.

    Raises
    ------
    SettingsError
        If something else than a regular file is there.
    """
    if path.exists() and not path.is_file():
        what = "a folder" if path.is_dir() else "not a regular file"
        raise SettingsError(f"{path} cannot be read: it is {what}")


def load_settings(path: Path) -> Settings:
    """Read and check ``evidently.yaml``.

    Raises
    ------
    SettingsError
        If the file cannot be read, is not YAML, or a field is unknown, missing or out of range; the
        message names the file and the field.
    """
    refuse_other_than_file(path)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} cannot be read: {error}") from error
    try:
        document = yaml.load(text, _BoundedSafeLoader)
    except _NOT_YAML as error:
        raise SettingsError(f"{path} is not YAML: {error}") from error
    try:
        return _settings(document, path.parent)
    except SettingsError as error:
        raise SettingsError(f"{path}: {error}") from error


def _settings(document: object, folder: Path) -> Settings:
    if not isinstance(document, Mapping):
        raise SettingsError(f"it must be a mapping with the keys {_joined(_TOP_LEVEL)}")
    _check_known("", document, _TOP_LEVEL)
    service = document.get("service")
    if not isinstance(service, Mapping):
        raise SettingsError("`service:` is missing, or is not a mapping of fields")
    _check_known("service.", service, _SERVICE_FIELDS)
    reference = service.get("reference_path")
    if not isinstance(reference, str) or not reference:
        raise SettingsError(
            "service.reference_path is missing: the path of references.parquet, relative to this "
            "file's folder"
        )
    prediction = document.get("prediction")
    settings = Settings(
        reference_path=folder / reference,
        min_reference_size=_integer(service, "min_reference_size", 2, 10**9),
        use_reference=_flag(service, "use_reference"),
        moving_reference=_flag(service, "moving_reference"),
        window_size=_integer(service, "window_size", 2, _LARGEST_WINDOW),
        calculation_period_sec=_number(service, "calculation_period_sec", 0.1, 7 * 86_400.0),
        monitors=_monitors(service),
        alarm_rate=_number(service, "alarm_rate", 0.001, 0.5),
        feedback_size=_integer(service, "feedback_size", 0, _LARGEST_FEEDBACK),
        prediction=_prediction(prediction),
        target=_target(document.get("target")),
        is_regression=isinstance(prediction, str),
        labels=_names(document.get("labels"), "labels"),
        feature_titles=_names(document.get("feature_titles"), "feature_titles"),
    )
    _check_together(settings)
    return settings


def _check_together(settings: Settings) -> None:
    if settings.min_reference_size < settings.window_size:
        raise SettingsError(
            f"service.min_reference_size ({settings.min_reference_size}) is less than "
            f"service.window_size ({settings.window_size}): a window must be full before the first "
            "computation, so make it at least as large"
        )
    if settings.labels and len(settings.labels) != len(settings.prediction):
        raise SettingsError(
            f"labels has {len(settings.labels)} entries and prediction {len(settings.prediction)}: "
            "there must be one for each, in the same order"
        )
    for monitor in settings.monitors:
        if monitor in CLASSIFICATION_MONITORS and (
            not settings.prediction or settings.is_regression
        ):
            raise SettingsError(
                f"the monitor {monitor} needs the names of the score columns: add `prediction:`, a "
                "list of columns of the reference"
            )
        if monitor == "regression_performance" and not settings.is_regression:
            raise SettingsError(
                "the monitor regression_performance needs a numeric target and a numeric "
                "prediction: name them as `target:` and `prediction:`, each one column of the "
                "reference; a classifier's score columns are neither"
            )


def _check_known(prefix: str, mapping: Mapping[Any, Any], known: tuple[str, ...]) -> None:
    unknown = [
        name if isinstance(name, str) else _shown(name) for name in mapping if name not in known
    ]
    if unknown:
        raise SettingsError(
            f"unknown field {prefix}{unknown[0]}; there are {_joined(known)}"
            + (f" (and {len(unknown) - 1} more unknown ones)" if len(unknown) > 1 else "")
        )


def _default(name: str) -> Any:
    return Settings.__dataclass_fields__[name].default


def _integer(service: Mapping[Any, Any], name: str, low: int, high: int) -> int:
    value = service.get(name, _default(name))
    if type(value) is not int or not low <= value <= high:
        raise SettingsError(
            f"service.{name} must be a whole number from {low} to {high}, not {_shown(value)}"
        )
    return value


def _number(service: Mapping[Any, Any], name: str, low: float, high: float) -> float:
    value = service.get(name, _default(name))
    if type(value) not in (int, float) or not low <= value <= high:
        raise SettingsError(
            f"service.{name} must be a number from {low} to {high}, not {_shown(value)}"
        )
    return float(value)


def _flag(service: Mapping[Any, Any], name: str) -> bool:
    value = service.get(name, _default(name))
    if type(value) is not bool:
        raise SettingsError(f"service.{name} must be true or false, not {_shown(value)}")
    return value


def _monitors(service: Mapping[Any, Any]) -> tuple[str, ...]:
    value = service.get("monitors", list(_default("monitors")))
    if not isinstance(value, list) or not value:
        raise SettingsError(f"service.monitors must be a list of some of {_joined(MONITORS)}")
    for monitor in value:
        if monitor not in MONITORS:
            raise SettingsError(
                f"unknown monitor {_shown(monitor)} in service.monitors; "
                f"there are {_joined(MONITORS)}"
            )
    if len(set(value)) < len(value):
        raise SettingsError("service.monitors names a monitor twice")
    return tuple(monitor for monitor in MONITORS if monitor in value)


def _prediction(value: object) -> tuple[str, ...]:
    if value is None:
        return ()
    if isinstance(value, str) and value:
        return (value,)
    if not isinstance(value, list) or not value:
        raise SettingsError("prediction must be a list of columns, or the name of one column")
    return _names(value, "prediction")


def _names(value: object, field: str) -> tuple[str, ...]:
    if value is None:
        return ()
    if not isinstance(value, list):
        raise SettingsError(f"{field} must be a list of names")
    names: dict[str, None] = {}
    for place, name in enumerate(value):
        if not isinstance(name, str) or not name:
            raise SettingsError(
                f"{field}[{place}] is {_shown(name)}, which is not text: put the name in quotes"
            )
        name = _join_surrogates(name)
        if name in names:
            raise SettingsError(f"{field} has the name {name!r} twice")
        names[name] = None
    return tuple(names)


def _join_surrogates(name: str) -> str:
    # JSON escapes a character beyond 16 bits (an emoji) as two surrogates, which YAML leaves apart.
    try:
        return name.encode("utf-16", "surrogatepass").decode("utf-16")
    except UnicodeDecodeError:
        return name


def _target(value: object) -> str | None:
    if value is not None and (not isinstance(value, str) or not value):
        raise SettingsError(f"target must be the name of a column, not {_shown(value)}")
    return value


def _shown(value: object) -> str:
    # A list may hold another nine times, which holds another nine times ..., and a number have
    # millions of digits.
    if isinstance(value, (list, Mapping, set)):
        return "a list" if isinstance(value, list) else "a mapping"
    if isinstance(value, int) and value.bit_length() > 64:
        return "a very large number"
    text = repr(value)
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}..."


def _joined(names: tuple[str, ...]) -> str:
    return ", ".join(names)
