"""One training run of the table, as anybody's run through a model's own methods."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ktt_core.atomic import atomic_file
from ktt_core.config import build_config
from ktt_core.datasets.dataset import Dataset
from ktt_core.datasets.importer import import_dataset
from ktt_core.datasets.options import ImportOptions
from ktt_core.decoding import decode
from ktt_core.progress import Progress
from ktt_core.registry import get_model

__all__ = ["Result", "import_file", "known_settings", "open_result", "train_model", "write_result"]


@dataclass(frozen=True)
class Result:
    """What one run left.

    Attributes
    ----------
    dataset, model : str
    seed : int
    settings : dict
        Hyperparameters that were given; the rest are the model's defaults.
    right_levels : list of int
        For each row of the test split, the levels down to which its predicted path is right.
    depth : int
    val, test : dict of str to float
        Metrics by their names in `ktt_core.metrics`.
    seconds, processor_seconds : float
        Of training and testing, of the last attempt if the run was continued.
    config : dict
        All hyperparameters.
    """

    dataset: str
    model: str
    seed: int
    settings: dict[str, Any]
    right_levels: list[int]
    depth: int
    val: dict[str, float]
    test: dict[str, float]
    seconds: float
    processor_seconds: float
    config: dict[str, Any] = field(default_factory=dict)

    @property
    def hits(self) -> np.ndarray:
        """Each test row's share of right levels; the mean is the hierarchical F1.

        All paths are equally long, so that is the micro average over ancestor sets (Silla and
        Freitas, 2011).
        """
        return np.array(self.right_levels, dtype=np.float64) / self.depth


def import_file(source: Path, workspace: Path) -> Dataset:
    """Open a Parquet file as a dataset; its columns are text, path (a list) and split."""
    folder = workspace / "datasets" / source.stem
    if not folder.exists():
        options = ImportOptions("text", classes="path", split_column="split")
        import_dataset(source, folder, options)
    return Dataset.open(folder)


def open_result(file: Path) -> Result | None:
    """Return a kept result, or nothing if that run is not finished."""
    if not file.exists():
        return None
    return Result(**json.loads(file.read_text(encoding="utf-8")))


def write_result(file: Path, result: Result) -> None:
    """Keep a result, whole or not at all."""
    with atomic_file(file) as staging:
        staging.write_text(json.dumps(asdict(result)), encoding="utf-8")


def train_model(
    dataset: Dataset, model_id: str, seed: int, settings: Mapping[str, Any], last: Path
) -> Result:
    """Train a model and test it.

    Parameters
    ----------
    dataset : Dataset
    model_id : str
    seed : int
    settings : mapping
        Hyperparameters; those the model does not have are left out.
    last : Path
        Where a resumable run keeps its state; if it exists, the run goes on from there. It is
        removed at the end.
    """
    started, cpu_started = time.perf_counter(), time.process_time()
    model_class = get_model(model_id)
    known = known_settings(model_id, settings)
    config = build_config(model_class.config_class, model_id, {**known, "seed": seed})
    resumed = model_class.resumable and last.exists()
    if resumed:
        model = model_class.from_checkpoint(last)
        config = model.config  # type: ignore[assignment]
    else:
        model = model_class(dataset.taxonomy, config)
    load = model_class.get_dataloader_func()
    preprocessor = model.preprocessor
    train = load(dataset.split("train"), preprocessor, config, shuffle=True)
    val = load(dataset.split("val"), preprocessor, config)
    test = load(dataset.split("test"), preprocessor, config)
    path = last if model_class.resumable else None
    tell = _teller(f"{dataset.name} {model_id} seed {seed}")
    val_metrics = model.fit(train, val, path, None, last if resumed else None, tell)
    right: list[np.ndarray] = []

    def observe(levels: Any, codes: np.ndarray) -> None:
        found = decode(levels, dataset.taxonomy, temperature=model.temperature).best()
        right.append(np.logical_and.accumulate(found.codes == codes, axis=1).sum(axis=1))

    test_metrics = model.test(test, observe=observe)
    result = Result(
        dataset.name,
        model_id,
        seed,
        known,
        np.concatenate(right).tolist(),
        dataset.taxonomy.depth,
        {name: float(figure) for name, figure in {**val_metrics, **recorded(model)}.items()},
        {name: float(figure) for name, figure in test_metrics.items()},
        time.perf_counter() - started,
        time.process_time() - cpu_started,
        config.model_dump(mode="json"),
    )
    last.unlink(missing_ok=True)
    return result


def recorded(model: Any) -> dict[str, float]:
    """Return the validation metrics of a model's checkpoints: the calibration before it, too."""
    record = getattr(model, "record", None)
    return {} if record is None else dict(record.metrics.get("val", {}))


def known_settings(model_id: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return those of the settings that a model has."""
    fields = get_model(model_id).config_class.model_fields
    return {name: value for name, value in settings.items() if name in fields}


def _teller(name: str) -> Callable[[Progress], None]:
    """Return a progress callback that prints a line now and then."""
    next_line = [time.monotonic() + 60.0]

    def tell(event: Progress) -> None:
        end_of_epoch = event.phase == "validate" and "loss" in event.metrics
        if time.monotonic() < next_line[0] and not end_of_epoch:
            return
        next_line[0] = time.monotonic() + 60.0
        figures = " ".join(
            f"{key} {event.metrics[key]:.4g}"
            for key in ("loss", "hierarchical_f1", "texts_per_second")
            if key in event.metrics
        )
        clock = time.strftime("%H:%M:%S")
        print(
            f"{clock} {name}: {event.phase} {event.step}/{event.total} {figures}",
            file=sys.stderr,
            flush=True,
        )

    return tell
