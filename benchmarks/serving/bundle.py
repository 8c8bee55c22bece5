"""Real bundles to measure: models packed as an export packs them, and the Python they run on."""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from ktt_core.atomic import atomic_directory
from ktt_core.config import build_config
from ktt_core.datasets.dataset import Dataset
from ktt_core.datasets.importer import import_dataset
from ktt_core.datasets.options import ImportOptions
from ktt_core.registry import get_model
from ktt_packing.client.bundle import BundleOptions, pack_bundle
from ktt_packing.client.environment import make_environment

__all__ = ["Bundle", "import_texts", "make_bundle", "sample_texts"]

_ENCODER_LENGTH = 64


@dataclass(frozen=True)
class Bundle:
    """A bundle, and what it was made from.

    Attributes
    ----------
    model_id : str
    inference : Path
        The saved BentoService.
    package : Path
        The folder in it that BentoML imports from.
    artifacts : Path
        The model's files in it.
    checkpoint : Path
    python : Path
        A Python with nothing but what the bundle's requirements.txt pins.
    leaves : int
    """

    model_id: str
    inference: Path
    package: Path
    artifacts: Path
    checkpoint: Path
    python: Path
    leaves: int


def import_texts(source: Path, folder: Path) -> Dataset:
    """Import a Parquet file with the columns text, path (a list) and, if it likes, split."""
    target = folder / "datasets" / source.stem
    if not target.exists():
        has_split = "split" in pq.read_schema(source).names
        options = ImportOptions(
            "text", classes="path", split_column="split" if has_split else None, dedupe=True
        )
        import_dataset(source, target, options)
    return Dataset.open(target)


def sample_texts(dataset: Dataset, count: int) -> list[str]:
    """Return texts of the test split, spread over it."""
    texts = dataset.split("test").texts()
    return texts[:: max(1, len(texts) // count)][:count]


def make_bundle(dataset: Dataset, model_id: str, encoder: str | None, folder: Path) -> Bundle:
    """Make a model and pack it with monitoring; what is in the folder already is used again.

    A tf-idf model is trained. An encoder model has a head of random weights, which costs what a
    trained one does.
    """
    output = folder / f"{model_id}_{dataset.name}"
    checkpoint = folder / f"{model_id}_{dataset.name}.checkpoint"
    if not (output / "inference").exists():
        _pack(dataset, model_id, encoder, output, checkpoint)
    inference = output / "inference"
    described = next(inference.glob("*/artifacts/model/model.json"))
    return Bundle(
        model_id,
        inference,
        described.parents[2],
        described.parent,
        checkpoint,
        make_environment(inference / "requirements.txt"),
        len(json.loads(described.read_text(encoding="utf-8"))["score_columns"]),
    )


def _pack(
    dataset: Dataset, model_id: str, encoder: str | None, output: Path, checkpoint: Path
) -> None:
    model_class = get_model(model_id)
    fields = model_class.config_class.model_fields
    values: dict[str, Any] = {"encoder": encoder, "max_len": _ENCODER_LENGTH}
    known = {name: value for name, value in values.items() if name in fields}
    config = build_config(model_class.config_class, model_id, known)
    model: Any = model_class(dataset.taxonomy, config)
    load = model_class.get_dataloader_func()

    def rows(split: str, **options: Any) -> Any:
        return load(dataset.split(split), model.preprocessor, config, **options)

    if "encoder" in fields:
        model.build()
    else:
        model.fit(rows("train", shuffle=True), rows("val"))
    model.save(checkpoint)
    with tempfile.TemporaryDirectory() as name:
        artifacts, reference = Path(name, "artifacts"), Path(name, "reference.parquet")
        artifacts.mkdir()
        model.export_artifacts(artifacts)
        pq.write_table(model.gen_reference_set(rows("test")), reference)
        options = BundleOptions(dataset.name, "20260101T000000", reference_set=reference)
        with atomic_directory(output) as staging:
            pack_bundle(model, artifacts, staging, options)
