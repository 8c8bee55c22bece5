"""A small dataset, a tiny encoder and a simple model for tests.

As a program, it trains in a separate process, which a test may kill.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import signal
import sys
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from ktt_core.checkpoints import format as checkpoint
from ktt_core.config import ModelConfig
from ktt_core.datasets.dataset import Dataset
from ktt_core.datasets.importer import import_dataset
from ktt_core.datasets.options import ImportOptions
from ktt_core.model import Metrics
from ktt_core.progress import Progress, ProgressCallback, ignore_progress
from ktt_models.pytorch.config import EncoderConfig
from ktt_models.pytorch.encoders.tiny import write_tiny_encoder
from ktt_models.pytorch.head import Head
from ktt_models.pytorch.model import PyTorchModel

__all__ = ["SampleModel", "damage_encoder", "fit_sample", "make_sample", "sample_config"]

_WORDS = {kind: [f"{kind}{number}" for number in range(12)] for kind in "abcdef"}


class SampleHead(Head):
    """One linear layer over the leaves, with dropout."""

    def __init__(self, width: int, model: SampleModel) -> None:
        super().__init__(width, model.taxonomy)
        self.dropout = nn.Dropout(model.config.dropout)
        self.linear = nn.Linear(width, model.taxonomy.n_leaves)

    def forward(self, features: Tensor) -> Tensor:
        """Return logits."""
        logits: Tensor = self.linear(self.dropout(features))
        return logits

    def loss(self, outputs: Tensor, codes: Tensor) -> Tensor:
        """Return the cross-entropy."""
        return nn.functional.cross_entropy(outputs, codes[:, -1])

    def level_scores(self, outputs: Tensor) -> list[Tensor]:
        """Return ln p(leaf)."""
        return [outputs.log_softmax(dim=1)]


class SampleModel(PyTorchModel):
    """An encoder and one linear layer."""

    model_id: ClassVar[str] = "sample"
    config_class: ClassVar[type[ModelConfig]] = EncoderConfig

    def make_head(self, width: int) -> Head:
        """Return the layer."""
        return SampleHead(width, self)


def make_sample(folder: Path, rows: int = 240, dropout: float = 0.1) -> Dataset:
    """Write a dataset of two levels and an encoder that fits it, and open the dataset.

    Parameters
    ----------
    folder : Path
    rows : int
    dropout : float
        Of the encoder.
    """
    generator = np.random.default_rng(0)
    lines = []
    for number in range(rows):
        kind = "abcdef"[number % 6]
        words = [*generator.choice(_WORDS[kind], generator.integers(1, 8)), str(number)]
        labels = ["first" if kind < "d" else "second", kind]
        lines.append(json.dumps({"text": " ".join(words), "labels": labels}))
    (folder / "rows.jsonl").write_text("\n".join(lines), encoding="utf-8")
    import_dataset(
        folder / "rows.jsonl", folder / "datasets" / "toy", ImportOptions("text", classes="labels")
    )
    texts = (" ".join(words) for words in _WORDS.values())
    encoder = write_tiny_encoder(folder / "encoder", texts)
    config = json.loads((encoder / "config.json").read_text(encoding="utf-8"))
    config |= {"dropout": dropout, "attention_dropout": dropout}
    (encoder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return Dataset.open(folder / "datasets" / "toy")


def damage_encoder(encoder: Path, target: Path) -> None:
    """Copy an encoder with weights that produce NaN."""
    shutil.copytree(encoder, target)
    weights = load_file(encoder / "model.safetensors")
    weights = {name: tensor * 1e30 for name, tensor in weights.items()}
    save_file(weights, target / "model.safetensors", metadata={"format": "pt"})


def sample_config(folder: Path, **values: Any) -> EncoderConfig:
    """Return a config for the sample."""
    defaults = {
        "encoder": str(folder / "encoder"),
        "epochs": 2,
        "batch_size": 16,
        "max_len": 16,
        "encoder_lr": 1e-3,
        "classifier_lr": 1e-2,
    }
    return EncoderConfig(**{**defaults, **values})


def fit_sample(
    folder: Path,
    config: EncoderConfig,
    path: Path | None = None,
    resume_from: Path | None = None,
    progress: ProgressCallback = ignore_progress,
) -> tuple[SampleModel, Metrics]:
    """Train on the sample."""
    dataset = Dataset.open(folder / "datasets" / "toy")
    model = SampleModel(dataset.taxonomy, config)
    model.record.dataset, model.record.fingerprint = dataset.name, dataset.fingerprint
    preprocessor = model.get_preprocessor(config)
    load = model.get_dataloader_func()
    metrics = model.fit(
        load(dataset.split("train"), preprocessor, config, shuffle=True),
        load(dataset.split("val"), preprocessor, config),
        path,
        resume_from=resume_from,
        progress=progress,
    )
    return model, metrics


def main(job: dict[str, Any]) -> None:
    """Train, and die of SIGKILL at the configured point.

    Parameters
    ----------
    job : dict
        "folder", "config", "path"; and "at_step", after which to die, or "at_write", the array of
        which writing a checkpoint dies.
    """
    torch.set_num_threads(1)
    folder, path = Path(job["folder"]), Path(job["path"])

    def progress(event: Progress) -> None:
        print(event.phase, event.step, flush=True)
        # Not before there is a checkpoint at all.
        if event.phase == "fit" and event.step >= job.get("at_step", math.inf) and path.exists():
            os.kill(os.getpid(), signal.SIGKILL)

    if "at_write" in job:
        _die_at_write(job["at_write"])
    fit_sample(folder, sample_config(folder, **job["config"]), path, progress=progress)


def _die_at_write(array: int) -> None:
    original, seen = checkpoint._bytes_of, []

    def bytes_of(value: Any) -> memoryview:
        seen.append(value)
        if len(seen) == array:
            os.kill(os.getpid(), signal.SIGKILL)
        return original(value)

    checkpoint._bytes_of = bytes_of  # type: ignore[assignment]


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
