"""The heads' scores as ONNX graphs."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from ktt_core.config import build_config
from ktt_core.registry import get_model
from ktt_core.taxonomy import Taxonomy

FOREST = Taxonomy.from_paths(
    [("Food", "Pasta", "Long"), ("Food", "Pasta", "Short"), ("Food", "Bread"), ("Bikes",)]
)


class _Scores(nn.Module):
    def __init__(self, head: Any) -> None:
        super().__init__()
        self.head = head

    def forward(self, features: Tensor) -> tuple[Tensor, ...]:
        return tuple(self.head.level_scores(self.head(features)))


@pytest.mark.parametrize(
    ("model", "options"),
    [
        ("db_linear", {}),
        ("db_bhcn", {}),
        ("db_bhcn_awx", {"awx_norm": 5}),
        ("db_bhcn_awx", {"awx_norm": 0}),
        ("db_ahmcnf", {}),
        ("db_achmcnn", {}),
    ],
)
def test_scores_of_a_graph_are_those_of_the_head_saturated_ones_too(model, options, tmp_path):
    torch.manual_seed(0)
    model_class: Any = get_model(model)
    config = build_config(model_class.config_class, model, options)
    scores = _Scores(model_class(FOREST, config).make_head(6)).eval()
    rows = torch.export.Dim("rows")
    program = torch.onnx.export(
        scores, (torch.randn(2, 6),), dynamo=True, dynamic_shapes=({0: rows},), verbose=False
    )
    assert program is not None
    program.save(tmp_path / "head.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "head.onnx")
    name = session.get_inputs()[0].name
    for n_rows, scale in ((1, 1.0), (5, 1.0), (3, 1e3)):
        features = scale * torch.randn(n_rows, 6)
        found = session.run(None, {name: features.numpy()})
        with torch.inference_mode():
            expected = scores(features)
        for mine, theirs in zip(found, expected, strict=True):
            assert np.isfinite(mine).all()
            # What the layers round off grows with what they sum.
            np.testing.assert_allclose(mine, theirs.numpy(), rtol=1e-5, atol=1e-5 * scale)
