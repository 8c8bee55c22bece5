"""How many processes share a run, and in which numbers they compute."""

from __future__ import annotations

import pytest
import torch

from ktt_core.config import build_config
from ktt_core.errors import UnsupportedError
from ktt_models.pytorch.config import EncoderConfig
from ktt_models.pytorch.training.devices import make_accelerator, process_count


@pytest.mark.parametrize(
    ("gpus", "asked", "expected"), [(0, None, 1), (0, 2, 2), (4, None, 4), (4, 2, 2), (64, None, 8)]
)
def test_there_is_a_process_for_every_gpu_unless_another_number_is_asked_for(
    gpus: int, asked: int | None, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    values = {"processes": asked, "batch_size": 16, "accumulate": 2}
    assert process_count(build_config(EncoderConfig, "m", values)) == expected


def test_more_processes_than_gpus_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    config = build_config(EncoderConfig, "m", {"processes": 3})
    with pytest.raises(UnsupportedError, match="needs as many GPUs, and there are 2"):
        process_count(config)


def test_one_process_may_train_in_one_precision_after_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for precision, expected in [("bf16", "bf16"), ("auto", "no"), ("fp32", "no")]:
        config = build_config(EncoderConfig, "m", {"precision": precision})
        assert make_accelerator(config).mixed_precision == expected
