"""Reports of texts that are longer than a model reads."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from ktt_core.cut_texts import CutShares, cut_shares_of, describe_cut, tell_cut
from ktt_core.progress import Progress, ignore_progress


def shares(whole: list[int], limit: int = 64) -> CutShares:
    lengths = np.array(whole)
    return CutShares.of(np.minimum(lengths, limit), np.maximum(lengths - limit, 0), limit)


def model(longest: int = 512) -> Any:
    return SimpleNamespace(longest_text=longest)


def test_shares_are_of_the_texts_and_of_their_tokens() -> None:
    found = shares([10, 64, 65, 128])
    assert found.figures() == {"texts_cut": 0.5, "tokens_cut": pytest.approx(65 / 267)}
    assert (found.limit, found.needed) == (64, 128)
    assert shares([1, 2, 64]).figures() == {"texts_cut": 0.0, "tokens_cut": 0.0}


@pytest.mark.parametrize(("longest", "needed"), [(120, 128), (128, 128), (129, 256), (1000, 1024)])
def test_the_limit_to_set_holds_nearly_all_texts(longest: int, needed: int) -> None:
    assert shares([longest] * 100).needed == needed
    # One in a thousand needs no higher limit.
    assert shares([longest] * 999 + [9_000]).needed == needed


def test_large_truncation_is_reported_with_the_setting_to_change() -> None:
    said = describe_cut(shares([121] * 10), "training texts", model(), "train again ")
    assert said == (
        "100.0% of the training texts are longer than the 64 tokens that are read: 47.1% of all "
        "tokens are cut. To read more, train again with --set max_len=128"
    )
    assert "--set max_len=512" in describe_cut(shares([2_000] * 10), "texts", model())
    # An encoder at its upper bound gets no advice; one without a bound gets the full length.
    assert "This encoder reads no more" in describe_cut(shares([2_000] * 10), "texts", model(64))
    assert "--set max_len=2048" in describe_cut(shares([2_000] * 10), "texts", model(0))
    assert "--set max_len=2048" in describe_cut(shares([2_000] * 10), "texts", SimpleNamespace())  # type: ignore[arg-type]


def test_characters_are_told_with_their_own_setting() -> None:
    lengths = np.full(10, 150)
    found = CutShares.of(np.full(10, 100), lengths - 100, 100, "characters")
    assert found.figures() == {"texts_cut": 1.0, "characters_cut": pytest.approx(1 / 3)}
    assert describe_cut(found, "texts", SimpleNamespace()) == (  # type: ignore[arg-type]
        "100.0% of the texts are longer than the 100 characters that are read: 33.3% of all "
        "characters are cut. To read more, train with --set max_chars=256"
    )
    events: list[Progress] = []
    tell_cut(found, SimpleNamespace(), 10, events.append)  # type: ignore[arg-type]
    assert events[0].metrics["wanted_max_chars"] == 256.0


def test_small_truncation_is_reported_without_advice() -> None:
    few = shares([10] * 99 + [100])
    assert not few.is_much
    assert "--set" not in describe_cut(few, "texts", model())
    assert "less than 0.1%" in describe_cut(shares([60] * 9_999 + [65]), "texts", model())


def test_training_reports_truncation_first_and_only_if_there_is_any() -> None:
    events: list[Progress] = []
    tell_cut(shares([10, 20]), model(), 2, events.append)
    assert events == []
    tell_cut(shares([121] * 10), model(), 10, events.append)
    assert [(event.phase, event.metrics["wanted_max_len"]) for event in events] == [
        ("tokenize", 128.0)
    ]
    tell_cut(shares([10] * 99 + [100]), model(), 100, events.append)
    assert "wanted_max_len" not in events[-1].metrics


def test_a_model_without_truncation_reports_nothing() -> None:
    assert cut_shares_of(SimpleNamespace(n_rows=3), ignore_progress) is None  # type: ignore[arg-type]
    empty = SimpleNamespace(n_rows=0, cut_shares=lambda progress: shares([1]))
    assert cut_shares_of(empty, ignore_progress) is None  # type: ignore[arg-type]
