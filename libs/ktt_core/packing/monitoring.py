"""What a bundle's monitoring is given: the reference set, its settings and the dashboard."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ktt_core.errors import FailedPreconditionError, UnsupportedError
from ktt_core.reference import TARGETS, leaf_column_names

if TYPE_CHECKING:
    from ktt_core.model import Model

__all__ = ["check_reference_set", "monitoring_files"]

_SETTINGS, _DASHBOARD = "evidently.yaml", "dashboard.json"
_HINT = "train again with a reference set (ktt train -r), or export without monitoring"


def monitoring_files(
    model: Model, artifacts: Path, reference_set: Path, service: Path, scratch: Path
) -> dict[str, str]:
    """Return what a request tells the packer of monitoring.

    Parameters
    ----------
    model : Model
    artifacts : Path
        What its `export_artifacts` has written.
    reference_set : Path
    service : Path
        The staged ``bentoml`` folder of the model.
    scratch : Path
        A folder for the settings.

    Raises
    ------
    FailedPreconditionError
        If the reference set is missing, damaged or not this model's.
    UnsupportedError
        If the model comes without settings or a dashboard.
    """
    check_reference_set(model, artifacts, reference_set)
    template, dashboard = service / _SETTINGS, service / _DASHBOARD
    for file in (template, dashboard):
        if not file.is_file():
            raise UnsupportedError(
                f"{model.model_id} cannot be monitored: its bentoml folder has no {file.name}; "
                "export it without monitoring"
            )
    # JSON is YAML, whatever the classes are called.
    prediction = json.dumps(list(leaf_column_names(model.taxonomy)), ensure_ascii=True)
    settings = scratch / _SETTINGS
    settings.write_text(
        f"{template.read_text(encoding='utf-8').rstrip()}\n\n"
        "# The columns of the reference set that hold the leaves' probabilities.\n"
        f"prediction: {prediction}\n",
        encoding="utf-8",
    )
    return {
        "reference_set_path": str(reference_set.absolute()),
        "grafana_dashboard_path": str(dashboard),
        "evidently_config": str(settings),
    }


def check_reference_set(model: Model, artifacts: Path, path: Path) -> None:
    """See that a reference set has the columns of a model's monitoring rows.

    Raises
    ------
    FailedPreconditionError
        If it has others, has no rows, or cannot be read.
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
    described = _described_features(artifacts)
    features = names[1 : len(names) - len(leaves)]
    wanted = [str(number) for number in range(len(features))] if described is None else described
    if names != [TARGETS, *wanted, *leaves]:
        raise FailedPreconditionError(
            f"the reference set {path} is of another model or of other classes than the checkpoint "
            f"of {model.model_id}: {_difference(names, [TARGETS, *wanted, *leaves])}; {_HINT}"
        )
    if not rows:
        raise FailedPreconditionError(f"the reference set {path} has no rows; {_HINT}")


def _described_features(artifacts: Path) -> list[str] | None:
    """Return the features that the artifacts speak of; None if they speak of none."""
    try:
        value = json.loads((artifacts / "model.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None  # a model from outside, which has its own
    features = value.get("feature_names") if isinstance(value, Mapping) else None
    return [str(name) for name in features] if isinstance(features, list) else None


def _difference(found: list[str], wanted: list[str]) -> str:
    if len(found) != len(wanted):
        return f"it has {len(found):,} columns, not {len(wanted):,}"
    at = next(at for at, pair in enumerate(zip(found, wanted, strict=True)) if pair[0] != pair[1])
    return f"its column {at + 1:,} is {found[at]!r:.60}, not {wanted[at]!r:.60}"
