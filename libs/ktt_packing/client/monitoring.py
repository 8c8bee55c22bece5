"""Files of a bundle's monitoring: the reference set, its settings and the dashboard."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ktt_core.errors import FailedPreconditionError, UnsupportedError
from ktt_core.reference import TARGETS, leaf_column_names
from ktt_core.registry import get_entry
from ktt_packing.request import MonitoringFiles

if TYPE_CHECKING:
    from ktt_core.model import Model

__all__ = [
    "FEWEST_REFERENCE_ROWS",
    "Watched",
    "check_reference_rows",
    "check_reference_set",
    "monitoring_files",
]

#: With ten rows in window and reference, a complete change is significant, but nothing less. With
#: fewer, not even that is, over all columns of a row.
FEWEST_REFERENCE_ROWS = 10

_SETTINGS, _DASHBOARD = "evidently.yaml", "dashboard.json"
# Default files for models without their own, and the placeholder for the model's name in them.
_DEFAULTS = Path(__file__).with_name("defaults")
_ANY_MODEL = "MODEL"
_HINT = "train again with a reference set (ktt train -r), or export without monitoring"

# The default of the monitoring service.
_DEFAULT_WINDOW = 30
# Grafana's limit.
_LONGEST_UID = 40


@dataclass(frozen=True)
class Watched:
    """Sizes that a bundle's monitor compares.

    Attributes
    ----------
    reference_rows : int
    window_size : int
        Number of newest rows that are compared with the reference.
    """

    reference_rows: int
    window_size: int


def monitoring_files(
    model: Model, dataset: str, artifacts: Path, reference_set: Path, service: Path, scratch: Path
) -> tuple[MonitoringFiles, Watched]:
    """Return the packer's request for monitoring, and the sizes that the monitor compares.

    The settings and the dashboard are the model's own, or the library's defaults. The window is at
    most as large as the reference set. The settings have the score columns, the names that
    ``/predict`` returns for their classes, and readable names of the features. The dashboard's
    title and uid are specific to model and dataset, so bundles can share a Grafana.

    Parameters
    ----------
    model : Model
    dataset : str
    artifacts : Path
        Folder with the results of the model's `export_artifacts`.
    reference_set : Path
    service : Path
        The staged ``bentoml`` folder of the model.
    scratch : Path
        Folder for the settings and the dashboard.

    Raises
    ------
    FailedPreconditionError
        If the reference set is missing, damaged, of another model, or too small.
    UnsupportedError
        If the model's dashboard is not valid, or it has other features than titles for them.
    """
    n_rows = check_reference_set(model, artifacts, reference_set)
    check_reference_rows(n_rows, reference_set)
    settings_text = _own_or_default(service / _SETTINGS).read_text(encoding="utf-8")
    text, window = _fit_window(settings_text.rstrip(), n_rows)
    titles = _names_in_description(artifacts, "feature_titles")
    parts = [text]
    if titles is not None:
        parts.append(
            "# What people call the features, in the order of their columns.\n"
            f"feature_titles: {_yaml(titles)}"
        )
    labels = ["\n".join(path) for path in model.taxonomy.leaf_paths]
    parts.append(
        "# The classes as /predict answers them, in the same order as below: so labels may name "
        f"them.\nlabels: {_yaml(labels)}"
    )
    parts.append(
        "# The columns of the reference set that hold the leaves' probabilities.\n"
        f"prediction: {_yaml(list(leaf_column_names(model.taxonomy)))}"
    )
    settings = scratch / _SETTINGS
    settings.write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    own = scratch / _DASHBOARD
    dashboard = _dashboard_of(model, dataset, _own_or_default(service / _DASHBOARD))
    own.write_text(dashboard, encoding="utf-8")
    files = MonitoringFiles(
        reference_set_path=reference_set.absolute(),
        grafana_dashboard_path=own,
        evidently_config=settings,
    )
    return files, Watched(n_rows, window)


def _own_or_default(file: Path) -> Path:
    return file if file.is_file() else _DEFAULTS / file.name


def _dashboard_of(model: Model, dataset: str, file: Path) -> str:
    """Return a dashboard with a title and uid of this bundle."""
    try:
        text = file.read_text(encoding="utf-8")
        if file.parent == _DEFAULTS:
            text = text.replace(_ANY_MODEL, model.model_id)
        board = json.loads(text)
    except (OSError, RecursionError, ValueError) as error:
        raise UnsupportedError(
            f"{model.model_id} cannot be monitored: its {file.name} cannot be read: {error}"
        ) from error
    if not isinstance(board, dict):
        raise UnsupportedError(
            f"{model.model_id} cannot be monitored: its {file.name} is not a dashboard, which is "
            "a JSON object"
        )
    name = get_entry(model.model_id).display_name or model.model_id
    # The internal id of a dashboard exported from Grafana would clash, too.
    board.pop("id", None)
    own = {"title": f"KTT: {name}, on {dataset}", "uid": _uid(model.model_id, dataset)}
    return json.dumps({**board, **own}, indent=2, ensure_ascii=False) + "\n"


def _uid(model_id: str, dataset: str) -> str:
    uid = f"ktt-{model_id}-{dataset}"
    if len(uid) <= _LONGEST_UID and "-" not in model_id + dataset:
        return uid
    # A hash keeps truncated names unique.
    digest = hashlib.sha256(f"{model_id}/{dataset}".encode()).hexdigest()[:8]
    return f"{uid[: _LONGEST_UID - 9]}-{digest}"


def _yaml(names: list[str]) -> str:
    # JSON is valid YAML for all class names.
    return json.dumps(names, ensure_ascii=True)


def _fit_window(settings: str, n_rows: int) -> tuple[str, int]:
    """Reduce a window that is larger than the reference set to its size."""
    found = re.search(r"(?m)^ +window_size: *(\d+)", settings)
    window = int(found[1]) if found else _DEFAULT_WINDOW
    if window <= n_rows or re.search(r"(?m)^ +use_reference: *(false|False|no)\b", settings):
        return settings, window
    for field in ("window_size", "min_reference_size"):
        line = f"{field}: {n_rows}  # the reference set has no more rows"
        settings, there = re.subn(rf"(?m)^( +){field}:.*$", rf"\g<1>{line}", settings)
        if not there:
            settings = re.sub(r"(?m)^(service: *(#.*)?)$", rf"\g<1>\n  {line}", settings, count=1)
    return settings, n_rows


def check_reference_rows(n_rows: int, path: Path) -> None:
    """Check that there are enough rows to compare with.

    Raises
    ------
    FailedPreconditionError
        If there are fewer than `FEWEST_REFERENCE_ROWS`.
    """
    if n_rows < FEWEST_REFERENCE_ROWS:
        rows = "1 row, that" if n_rows == 1 else f"{n_rows} rows, those"
        raise FailedPreconditionError(
            f"the reference set {path} has {rows} of the test split: with fewer than "
            f"{FEWEST_REFERENCE_ROWS} a monitor cannot tell a change from chance; export without "
            "monitoring (--no-monitoring), or import the dataset with a larger test split, and "
            "train again with a reference set (ktt train -r)"
        )


def check_reference_set(model: Model, artifacts: Path, path: Path) -> int:
    """Check that a reference set has the columns of a model's monitoring rows; return its rows.

    Raises
    ------
    FailedPreconditionError
        If it has other columns, or cannot be read.
    UnsupportedError
        If it has other features than the model has titles for.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            names, rows = file.schema_arrow.names, file.metadata.num_rows
    except (OSError, pa.ArrowException) as error:
        raise FailedPreconditionError(
            f"the reference set {path} cannot be read: {error}; {_HINT}"
        ) from error
    leaves = list(leaf_column_names(model.taxonomy))
    described = _names_in_description(artifacts, "feature_names")
    features = names[1 : len(names) - len(leaves)]
    wanted = [str(number) for number in range(len(features))] if described is None else described
    if names != [TARGETS, *wanted, *leaves]:
        raise FailedPreconditionError(
            f"the reference set {path} is of another model or of other classes than the checkpoint "
            f"of {model.model_id}: {_difference(names, [TARGETS, *wanted, *leaves])}; {_HINT}"
        )
    titles = _names_in_description(artifacts, "feature_titles")
    if titles is not None and len(titles) != len(features):
        raise UnsupportedError(
            f"{model.model_id} cannot be monitored: its reference set has {len(features)} features "
            f"and the model.json of its export_artifacts {len(titles)} feature_titles"
        )
    return int(rows)


def _names_in_description(artifacts: Path, field: str) -> list[str] | None:
    """Return the names in a field of the artifacts' description; None if it is missing."""
    try:
        value = json.loads((artifacts / "model.json").read_text(encoding="utf-8"))
    except (OSError, RecursionError, ValueError):
        return None  # a model defined elsewhere, with its own format
    names = value.get(field) if isinstance(value, Mapping) else None
    return [str(name) for name in names] if isinstance(names, list) else None


def _difference(found: list[str], wanted: list[str]) -> str:
    if len(found) != len(wanted):
        return f"it has {len(found):,} columns, not {len(wanted):,}"
    at = next(at for at, pair in enumerate(zip(found, wanted, strict=True)) if pair[0] != pair[1])
    return f"its column {at + 1:,} is {found[at]!r:.60}, not {wanted[at]!r:.60}"
