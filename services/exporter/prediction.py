"""Prediction of paths with a loaded model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal

from ktt_core.fields import at_field
from ktt_core.model_code import blaming_models
from ktt_core.texts import check_text, squash

if TYPE_CHECKING:
    from exporter.model_cache import CachedModel
    from ktt_core.decoding import Prediction
    from ktt_core.model import Model

__all__ = ["Decoding", "check_options", "iter_answers"]

Decoding = Literal["path", "independent"]


def check_options(model: Model, options: Mapping[str, Any]) -> None:
    """Check decoding options before a text is read.

    Raises
    ------
    InvalidArgumentError
        If an option is out of range; `field` names it.
    """
    import numpy as np

    from ktt_core.decoding import decode

    none = [np.empty((0, int(size)), dtype=np.float32) for size in model.taxonomy.level_sizes]
    for name, value in options.items():
        with at_field(name):
            decode(none, model.taxonomy, **{name: value})
    with at_field("decoding"):
        decode(none, model.taxonomy, **options)


def iter_answers(
    cached: CachedModel, texts: Iterator[str], options: Mapping[str, Any], block_rows: int
) -> Iterator[list[Prediction]]:
    """Yield the paths of each text, reading a block of texts at a time."""
    read = 0
    while block := list(islice(texts, block_rows)):
        tidy = _clean(block, read)
        with cached.use() as model:
            answers = _answer(model, tidy, options)
        yield from answers
        read += len(block)


@blaming_models()
def _answer(
    model: Model, texts: list[str], options: Mapping[str, Any]
) -> Iterator[list[Prediction]]:
    from ktt_core.decoding import decode, leaf_log_proba

    levels = model.level_scores(model.preprocessor(texts))
    if options["decoding"] == "independent" and not model.scores_comparable_within_level:
        levels = [leaf_log_proba(levels, model.taxonomy)]
    decoded = decode(levels, model.taxonomy, temperature=model.temperature, **options)
    return decoded.iter_predictions()


def _clean(block: list[str], read: int) -> list[str]:
    """Clean texts as an import does, if they can be classified."""
    for number, text in enumerate(block, read):
        with at_field(f"texts[{number}]"):
            check_text(text, f"text {number + 1}")
    return [squash(text) for text in block]
