"""Nearest centroid over hashed character trigrams, on numpy alone."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from centroid.bentoml.scorer import CentroidScorer, text_lengths, trigrams
from ktt_core.checkpoints.format import read_arrays, write_arrays
from ktt_core.checkpoints.record import RunRecord
from ktt_core.config import ModelConfig, build_config
from ktt_core.decoding import leaf_log_proba
from ktt_core.errors import UnsupportedError
from ktt_core.model import Loader, Metrics, Model
from ktt_core.parity import ParityCounter, ParityFigures
from ktt_core.progress import Progress, ProgressCallback, ignore_progress
from ktt_core.taxonomy import Taxonomy


class CentroidConfig(ModelConfig):
    """Hyperparameters of `Centroid`."""

    buckets: int = Field(4096, ge=16, le=2**20, description="Hash buckets that trigrams fall into.")
    sharpness: float = Field(20.0, gt=0, description="Factor from cosine similarity to log-score.")


class Centroid(Model):
    """A text's score for a leaf is its cosine similarity to the mean of the leaf's texts."""

    config_class = CentroidConfig
    config: CentroidConfig
    export_formats = frozenset({"bento"})

    def __init__(self, taxonomy: Taxonomy, config: ModelConfig) -> None:
        super().__init__(taxonomy, config)
        self.centroids = np.zeros((taxonomy.n_leaves, self.config.buckets), dtype=np.float32)

    @classmethod
    def from_checkpoint(cls, path: Path) -> Centroid:
        """Rebuild the model from its file."""
        metadata, arrays = read_arrays(path, cls.model_id)
        taxonomy = Taxonomy.from_json(metadata["taxonomy"])
        model = cls(taxonomy, build_config(cls.config_class, cls.model_id, metadata["config"]))
        model.centroids, model.record = arrays["centroids"], RunRecord.from_json(metadata)
        return model

    def fit(
        self,
        train: Loader,
        val: Loader,
        path: Path | None = None,
        best_path: Path | None = None,
        resume_from: Path | None = None,
        progress: ProgressCallback = ignore_progress,
    ) -> Metrics:
        """Average the training texts of each leaf."""
        if resume_from is not None:
            raise UnsupportedError("centroid trains in one pass; run it again instead of resuming")
        done = 0
        for batch in train:
            np.add.at(self.centroids, batch.codes[:, -1], self._features(batch.inputs["text"]))
            done += len(batch.codes)
            progress(Progress("fit", done, train.n_rows, "rows"))
        self.centroids /= np.maximum(np.linalg.norm(self.centroids, axis=1, keepdims=True), 1e-12)
        if best_path or path:
            self.save(best_path or path)  # type: ignore[arg-type]
        return self.test(val)

    def save(self, path: Path, optim: Mapping[str, Any] | None = None) -> None:
        """Write the centroids, the config, the taxonomy and the record of the run."""
        metadata = {
            "model": self.model_id,
            "config": self.config.model_dump(mode="json"),
            "taxonomy": self.taxonomy.to_json(),
            **self.record.to_json(),
        }
        write_arrays(path, metadata, {"centroids": self.centroids})

    def level_scores(self, inputs: Mapping[str, Any]) -> Sequence[NDArray[np.float32]]:
        """Score the leaves."""
        similarity = self._features(inputs["text"]) @ self.centroids.T
        return [np.float32(self.config.sharpness) * similarity]

    def scores_and_features(
        self, inputs: Mapping[str, Any]
    ) -> tuple[Sequence[NDArray[np.float32]], NDArray[np.float32]]:
        """Score the leaves; the text's length is the only feature that monitoring compares."""
        return self.level_scores(inputs), text_lengths(inputs["text"])

    def export_artifacts(self, folder: Path) -> None:
        """Write what the service reads: arrays and JSON."""
        if not self.centroids.any():
            raise UnsupportedError("centroid is not trained; train it before exporting it")
        described = {
            "taxonomy": self.taxonomy.to_json(),
            "sharpness": self.config.sharpness,
            "temperature": self.temperature,
        }
        (folder / "centroid.json").write_text(json.dumps(described), encoding="utf-8")
        np.save(folder / "centroids.npy", self.centroids)

    def artifacts_parity(self, folder: Path, texts: Iterable[str]) -> ParityFigures:
        """Answer the texts from the folder and from memory."""
        exported, counter, rest = CentroidScorer(folder), ParityCounter(), iter(texts)
        while block := list(itertools.islice(rest, 1024)):
            counter.add(self._log_proba(block), exported.log_proba(block))
        return counter.figures()

    def _features(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return trigrams(texts, self.config.buckets)

    def _log_proba(self, texts: Sequence[str]) -> NDArray[np.float32]:
        scores = self.level_scores({"text": texts})
        return leaf_log_proba(scores, self.taxonomy, self.temperature)
