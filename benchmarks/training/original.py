"""Training as the original project does it: the comparison, written for this benchmark."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from ktt_core.datasets.dataset import Dataset
from ktt_core.registry import get_model
from ktt_models.pytorch.config import EncoderConfig
from ktt_models.pytorch.encoders import find_encoder
from ktt_models.pytorch.training.optimizer import make_optimizer, set_rates
from ktt_models.pytorch.training.schedule import rate_factor

__all__ = ["OriginalWay"]


class _Rows(TorchDataset[dict[str, torch.Tensor]]):
    """Texts that are tokenised when they are asked for, each padded to the greatest length."""

    def __init__(self, dataset: Dataset, config: EncoderConfig) -> None:
        from transformers import AutoTokenizer

        folder = find_encoder(config.encoder, config.download)
        self.tokenizer: Any = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        split = dataset.split("train")
        self.texts, self.codes = split.texts(), split.codes().astype(np.int64)
        self.max_len = config.max_len

    def __len__(self) -> int:
        return len(self.texts)

    def __getitem__(self, row: int) -> dict[str, torch.Tensor]:
        tokens = self.tokenizer(
            self.texts[row],
            max_length=self.max_len,
            padding="max_length",
            truncation=True,
            return_tensors="pt",
        )
        return {
            "input_ids": tokens["input_ids"][0],
            "attention_mask": tokens["attention_mask"][0],
            "codes": torch.from_numpy(self.codes[row]),
        }


class OriginalWay:
    """A network of its own, trained a few steps at a time.

    It differs from ours in how batches are made and in the optimizer's implementation alone: the
    rates, their schedule, the decay and the clipping are the same, so losses can be compared.

    Parameters
    ----------
    dataset : Dataset
    model_id : str
    config : EncoderConfig
    """

    def __init__(self, dataset: Dataset, model_id: str, config: EncoderConfig) -> None:
        model: Any = get_model(model_id)(dataset.taxonomy, config)
        model.build()
        self.config = config
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.network = model.network.to(self.device)
        rows = _Rows(dataset, config)
        sizes = dataset.taxonomy.level_sizes
        self.network.head.init_from_counts(
            [
                torch.from_numpy(np.bincount(rows.codes[:, level], minlength=size))
                for level, size in enumerate(sizes)
            ]
        )
        groups = make_optimizer(self.network, config).param_groups
        plain = ("params", "lr", "highest_lr", "weight_decay")
        self.optimizer = torch.optim.AdamW([{key: group[key] for key in plain} for group in groups])
        generator = torch.Generator().manual_seed(config.seed)
        self.loader = DataLoader(
            rows, batch_size=config.batch_size, shuffle=True, generator=generator
        )
        self.total = config.epochs * len(self.loader)
        self.losses: list[float] = []
        self._batches = self._endless()

    def train(self, steps: int) -> None:
        """Do so many steps; their losses are added to `losses`."""
        self.network.train()
        for _ in range(steps):
            batch = {name: part.to(self.device) for name, part in next(self._batches).items()}
            codes = batch.pop("codes")
            loss = self.network(batch, codes)
            loss.backward()
            if self.config.clip_norm is not None:
                torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.config.clip_norm)
            step, config = len(self.losses), self.config
            set_rates(self.optimizer, rate_factor(step, self.total, config.warmup, config.schedule))
            self.optimizer.step()
            self.optimizer.zero_grad()
            self.losses.append(float(loss.detach()))

    def _endless(self) -> Iterator[dict[str, torch.Tensor]]:
        while True:
            yield from self.loader
