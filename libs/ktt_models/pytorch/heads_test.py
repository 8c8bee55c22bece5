"""What holds for the heads of all encoder models, on any taxonomy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from ktt_core.config import build_config
from ktt_core.decoding import decode, leaf_log_proba
from ktt_core.registry import get_model, list_models
from ktt_core.taxonomy import Taxonomy
from ktt_models.pytorch.head import Head

MODELS = [
    entry.id
    for entry in list_models()
    if entry.framework == "pytorch" and entry.load.__module__.startswith("ktt_models.")
]
WIDTH = 6
SMALL: dict[str, dict[str, Any]] = {
    "db_ahmcnf": {"global_hidden_sizes": 24, "local_hidden_sizes": 16},
    "db_achmcnn": {"h_hidden_dim": 32},
}

TINY = Taxonomy.from_paths([("A", "x"), ("B", "y")])

forests = st.lists(
    st.lists(st.sampled_from("abc"), min_size=1, max_size=6), min_size=1, max_size=15
).map(Taxonomy.from_paths)


def make_head(model: str, taxonomy: Taxonomy, **values: Any) -> Head:
    torch.manual_seed(0)
    model_class: Any = get_model(model)
    config = build_config(model_class.config_class, model, {**SMALL.get(model, {}), **values})
    head = model_class(taxonomy, config).make_head(WIDTH)
    assert isinstance(head, Head)
    return head


def paths_of(taxonomy: Taxonomy, leaves: Tensor) -> Tensor:
    return torch.as_tensor(taxonomy.leaf_codes)[leaves].long()


def count(taxonomy: Taxonomy, codes: Tensor) -> list[Tensor]:
    sizes = taxonomy.level_sizes.tolist()
    return [torch.bincount(codes[:, h], minlength=size) for h, size in enumerate(sizes)]


def numpy_scores(head: Head, features: Tensor) -> list[np.ndarray]:
    head.eval()
    with torch.inference_mode():
        return [level.numpy() for level in head.level_scores(head(features))]


@pytest.mark.parametrize("model", MODELS)
@settings(deadline=None, max_examples=12)
@given(taxonomy=forests, scale=st.sampled_from([1.0, 1e3, 1e6]), balanced=st.booleans())
def test_loss_gradient_and_probabilities_are_finite_on_any_forest(model, taxonomy, scale, balanced):
    options = {"class_weight": "balanced", "logit_adjustment": 1.0} if balanced else {}
    head = make_head(model, taxonomy, **options)
    features = (scale * torch.randn(3, WIDTH)).requires_grad_()
    codes = paths_of(taxonomy, torch.randint(taxonomy.n_leaves, (3,)))
    head.init_from_counts(count(taxonomy, codes))
    loss = head.loss(head(features), codes)
    gradients = torch.autograd.grad(
        loss, [features, *head.parameters()], allow_unused=True, materialize_grads=True
    )
    assert loss.shape == () and loss.dtype == torch.float32 and loss.isfinite()
    assert all(gradient.isfinite().all() for gradient in gradients)
    scores = numpy_scores(head, features.detach())
    log_proba = leaf_log_proba(scores, taxonomy)
    np.testing.assert_allclose(np.exp(log_proba).sum(axis=1), 1.0, atol=1e-4)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("options", [{}, {"class_weight": "balanced", "logit_adjustment": 1.0}])
def test_it_learns_what_can_be_learnt(model, options):
    """Ragged paths, a level of one class, and rows that a linear layer can tell apart."""
    taxonomy = Taxonomy.from_paths(
        [("r", "a", "b", "c"), ("r", "a", "b", "d"), ("r", "a", "e"), ("r", "f"), ("r", "g", "h")]
    )
    head = make_head(model, taxonomy, **options)
    generator = torch.Generator().manual_seed(0)
    leaves = torch.randint(taxonomy.n_leaves, (64,), generator=generator)
    features = torch.eye(WIDTH)[leaves] * 3 + torch.randn(64, WIDTH, generator=generator) / 10
    codes = paths_of(taxonomy, leaves)
    head.init_from_counts(count(taxonomy, codes))
    optimizer = torch.optim.AdamW(head.parameters(), lr=0.02)
    losses = []
    for _ in range(60):
        optimizer.zero_grad()
        loss = head.loss(head(features), codes)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 2
    decoded = decode(numpy_scores(head, features), taxonomy)
    np.testing.assert_array_equal(decoded.codes[:, 0], codes)


@pytest.mark.parametrize("model", MODELS)
def test_options_for_rare_classes_change_the_loss_and_no_score(model):
    taxonomy = Taxonomy.from_paths([("A", "x"), ("A", "y"), ("B", "z")])
    codes = paths_of(taxonomy, torch.tensor([0, 0, 0, 0, 1, 2]))
    features = torch.randn(6, WIDTH)
    losses, scores = [], []
    for options in ({}, {"class_weight": "balanced"}, {"logit_adjustment": 0.5}):
        head = make_head(model, taxonomy, **options).eval()
        head.init_from_counts(count(taxonomy, codes))
        losses.append(head.loss(head(features), codes).item())
        scores.append(np.concatenate(numpy_scores(head, features), axis=1))
    assert len({round(loss, 6) for loss in losses}) == 3
    np.testing.assert_array_equal(scores[0], scores[1])
    np.testing.assert_array_equal(scores[0], scores[2])


def test_a_head_of_another_package_overrides_start_for_one_more_release() -> None:
    bundled = type(make_head("db_linear", TINY))
    counts = [torch.tensor([3, 1]), torch.tensor([3, 1])]
    with pytest.warns(DeprecationWarning, match="Outside.start is init_from_counts now"):

        class Outside(bundled):  # type: ignore[misc, valid-type]
            def start(self, counts: list[Tensor]) -> None:
                super().start(counts)
                self.seen = counts

    options = {"logit_adjustment": 1.0}
    model_class: Any = get_model("db_linear")
    config = build_config(model_class.config_class, "db_linear", options)
    head = Outside(WIDTH, TINY, config)
    with pytest.warns(DeprecationWarning, match="start is init_from_counts now"):
        head.init_from_counts(counts)
    assert head.seen is counts
    assert head.balance.shifts.any()


@pytest.mark.parametrize("model", MODELS)
def test_a_state_dict_restores_weights_and_what_was_counted(model):
    taxonomy = Taxonomy.from_paths([("A", "x"), ("A", "y"), ("B", "z")])
    options = {"class_weight": "balanced", "logit_adjustment": 1.0}
    codes = paths_of(taxonomy, torch.tensor([0, 0, 0, 1, 2]))
    features = torch.randn(5, WIDTH)
    trained = make_head(model, taxonomy, **options).eval()
    trained.init_from_counts(count(taxonomy, codes))
    for weight in trained.parameters():
        weight.data += 0.1 * torch.randn_like(weight)
    restored = make_head(model, taxonomy, **options).eval()
    restored.load_state_dict(trained.state_dict())
    mine, theirs = (head.loss(head(features), codes) for head in (trained, restored))
    assert mine == theirs


class _Largest(TorchDispatchMode):
    """Notes the most numbers in the result of any operation."""

    def __init__(self) -> None:
        super().__init__()
        self.numbers = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        results = func(*args, **(kwargs or {}))
        for result in results if isinstance(results, (tuple, list)) else [results]:
            if isinstance(result, Tensor):
                # An expanded view holds no more than what it views.
                held = result.untyped_storage().nbytes() // max(1, result.element_size())
                self.numbers = max(self.numbers, held)
        return results


@pytest.mark.parametrize("model", MODELS)
def test_nothing_is_as_large_as_classes_by_classes(model):
    taxonomy = Taxonomy.from_paths((f"{leaf // 40}", f"{leaf}") for leaf in range(2_000))
    head = make_head(model, taxonomy)
    codes = paths_of(taxonomy, torch.tensor([0, 7, 1999]))
    with _Largest() as largest:
        outputs = head(torch.randn(3, WIDTH))
        head.loss(outputs, codes).backward()
        head.level_scores(outputs)
    # The weights and their gradients are the largest: a layer from a level to the next one.
    weights = max(weight.numel() for weight in head.parameters())
    assert largest.numbers <= max(weights, 3 * taxonomy.n_classes)


@pytest.mark.parametrize("model", MODELS)
def test_the_original_profile_moves_nothing_that_was_said(model):
    config_class = get_model(model).config_class
    config: Any = build_config(config_class, model, {"profile": "original", "dropout": 0.33})
    assert (config.dropout, config.epochs, config.max_len) == (0.33, 5, 64)
