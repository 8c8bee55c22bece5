"""Rates and decay by group, and a state that survives."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from ktt_core.config import build_config
from ktt_core.errors import CheckpointError
from ktt_models.pytorch.config import EncoderConfig
from ktt_models.pytorch.training.optimizer import (
    make_optimizer,
    optimizer_arrays,
    restore_optimizer,
    set_rates,
)


class Network(nn.Module):
    """As much of an encoder with a head as an optimizer sees."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Embedding(5, 4), nn.Linear(4, 4), nn.LayerNorm(4))
        self.head = nn.Linear(4, 2)

    def trained(self):
        return self.named_parameters()


RATES = {"encoder_lr": 1e-3, "classifier_lr": 1e-2, "weight_decay": 0.1}
CONFIG = build_config(EncoderConfig, "m", RATES)


def step(network: Network, optimizer: torch.optim.Optimizer) -> None:
    network.head(network.encoder(torch.tensor([1, 2]))).square().sum().backward()
    optimizer.step()
    optimizer.zero_grad()


def test_matrices_decay_biases_and_norms_do_not_and_the_head_has_its_own_rate() -> None:
    network: Any = Network()
    optimizer = make_optimizer(network, CONFIG)
    found = {
        id(weight): (group["lr"], group["weight_decay"])
        for group in optimizer.param_groups
        for weight in group["params"]
    }
    by_name = {name: found[id(weight)] for name, weight in network.named_parameters()}
    assert by_name == {
        "encoder.0.weight": (1e-3, 0.1),
        "encoder.1.weight": (1e-3, 0.1),
        "encoder.1.bias": (1e-3, 0.0),
        "encoder.2.weight": (1e-3, 0.0),
        "encoder.2.bias": (1e-3, 0.0),
        "head.weight": (1e-2, 0.1),
        "head.bias": (1e-2, 0.0),
    }
    set_rates(optimizer, 0.5)
    set_rates(optimizer, 0.25)
    assert {group["lr"] for group in optimizer.param_groups} == {2.5e-4, 2.5e-3}


def test_a_restored_optimizer_takes_the_same_steps() -> None:
    torch.manual_seed(0)
    network: Any = Network()
    optimizer = make_optimizer(network, CONFIG)
    step(network, optimizer)
    arrays = optimizer_arrays(network, optimizer, copy=True)
    weights = {name: weight.detach().clone() for name, weight in network.named_parameters()}
    step(network, optimizer)
    other: Any = Network()
    other.load_state_dict(weights)
    again = make_optimizer(other, CONFIG)
    restore_optimizer(other, again, arrays)
    step(other, again)
    for mine, theirs in zip(network.parameters(), other.parameters(), strict=True):
        assert torch.equal(mine, theirs)


def test_a_damaged_state_is_refused() -> None:
    network: Any = Network()
    optimizer = make_optimizer(network, CONFIG)
    step(network, optimizer)
    arrays = optimizer_arrays(network, optimizer, copy=True)
    for wrong in (np.zeros(3, np.float32), np.zeros((2, 4), np.float64)):
        with pytest.raises(CheckpointError, match="'exp_avg' of head.weight is damaged"):
            restore_optimizer(network, optimizer, {**arrays, "head.weight.exp_avg": wrong})
    arrays.pop("head.weight.step")
    with pytest.raises(CheckpointError, match="'step' of head.weight is damaged"):
        restore_optimizer(network, optimizer, arrays)
