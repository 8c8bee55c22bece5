"""Checkpoints of networks, with the right checksum: refused, or loaded and able to answer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given

from fuzz.damage import Change, Nested, changed, changes, fuzzed, json_bytes, survives
from ktt_core.checkpoints import format as checkpoint_format
from ktt_core.checkpoints.format import read_arrays, write_arrays
from ktt_core.decoding import leaf_log_proba
from ktt_core.errors import KttError
from ktt_core.preprocessors.token_rows import TokenRows
from ktt_models.pytorch.training.sample_run import (
    SampleModel,
    fit_sample,
    make_sample,
    sample_config,
)

ASKED = ["a1 b2 c3 d4 e5 f6 " * 40, "", "?"]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("network")
    make_sample(folder, rows=60)
    (folder / "made").mkdir()
    path = folder / "made/whole.safetensors"
    model, _ = fit_sample(folder, sample_config(folder, epochs=1), folder / "last.safetensors")
    model.save(path)
    return path


def answer(path: Path) -> bool:
    model = SampleModel.from_checkpoint(path)
    levels = model.level_scores(model.preprocessor(ASKED))
    found = np.exp(leaf_log_proba(levels, model.taxonomy, model.temperature))
    assert found.shape == (len(ASKED), model.taxonomy.n_leaves)
    return True


def use_forged(checkpoint: Path, metadata: Any) -> bool:
    """Tell whether a checkpoint with other metadata answers."""
    _, arrays = read_arrays(checkpoint, "sample")
    text = json_bytes(metadata).decode()

    class Dumps:
        @staticmethod
        def dumps(value: Any, **options: Any) -> str:
            return text if "model" in value else json.dumps(value, **options)

    path = checkpoint.with_name("forged.safetensors")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoint_format, "json", Dumps)
        write_arrays(path, {"model": ""}, arrays)
    return survives(lambda: answer(path), KttError, folder=path.parent) or False


@fuzzed(60)
@given(changes(2))
@example((Change("add", 3, Nested(930)),))
def test_the_values_of_a_networks_checkpoint(checkpoint, damage):
    metadata, _ = read_arrays(checkpoint, "sample")
    use_forged(checkpoint, changed(metadata, damage))


@fuzzed(60)
@given(changes(1))
def test_the_config_of_a_checkpoints_encoder(checkpoint, damage):
    metadata, _ = read_arrays(checkpoint, "sample")
    use_forged(checkpoint, {**metadata, "encoder": changed(metadata["encoder"], damage)})


@fuzzed(60)
@given(changes(1))
@example((Change("replace", 2, 2**31),))
def test_the_tokenizer_of_a_checkpoint(checkpoint, damage):
    metadata, _ = read_arrays(checkpoint, "sample")
    state = metadata["preprocessor"]
    tokenizer = json_bytes(changed(json.loads(state["tokenizer"]), damage)).decode()
    use_forged(checkpoint, {**metadata, "preprocessor": {**state, "tokenizer": tokenizer}})


@fuzzed(60)
@given(changes(1))
@example((Change("add", 0, Nested(100_000)),))
@example((Change("replace", 2, 10**400),))
def test_the_tokenizer_of_an_export(checkpoint, damage):
    metadata, _ = read_arrays(checkpoint, "sample")
    tokenizer = json.loads(metadata["preprocessor"]["tokenizer"])
    tokenizer["truncation"] = {
        "max_length": 12,
        "stride": 0,
        "strategy": "LongestFirst",
        "direction": "Right",
    }
    folder = checkpoint.parent
    (folder / "tokenizer.json").write_bytes(json_bytes(changed(tokenizer, damage)))
    survives(lambda: TokenRows(folder)(ASKED), KttError, folder=folder)


def with_tokenizer(metadata: dict[str, Any], change: Any) -> dict[str, Any]:
    state = metadata["preprocessor"]
    tokenizer = json.loads(state["tokenizer"])
    change(tokenizer)
    return {**metadata, "preprocessor": {**state, "tokenizer": json.dumps(tokenizer)}}


def test_ids_that_the_encoder_has_no_embedding_for_are_refused(checkpoint):
    metadata, _ = read_arrays(checkpoint, "sample")

    def shift(tokenizer: Any) -> None:
        vocabulary = tokenizer["model"]["vocab"]
        vocabulary.update({word: number + 500 for word, number in vocabulary.items() if number > 9})

    assert not use_forged(checkpoint, with_tokenizer(metadata, shift))


def test_texts_longer_than_the_encoder_takes_are_refused(checkpoint):
    metadata, _ = read_arrays(checkpoint, "sample")
    state = metadata["preprocessor"]
    assert use_forged(checkpoint, {**metadata, "preprocessor": {**state, "max_length": 128}})
    for length in (129, 10_000):
        changed_state = {**state, "max_length": length}
        assert not use_forged(checkpoint, {**metadata, "preprocessor": changed_state})
