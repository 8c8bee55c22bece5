"""Encoders as networks: pooling, texts of any length, and what travels in checkpoints."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from ktt_core.errors import DataError, KttError, UnsupportedError
from ktt_models.pytorch.encoders import encoder_preprocessor, list_encoders, read_facts
from ktt_models.pytorch.encoders.encoder import Encoder
from ktt_models.pytorch.encoders.tiny import write_tiny_encoder

TEXTS = ["red running shoes for men", "blue shirt", "a table of oak"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_tiny_encoder(tmp_path_factory.mktemp("encoder"), TEXTS)


@pytest.fixture
def copy(folder, tmp_path):
    return shutil.copytree(folder, tmp_path / "copy")


def inputs(folder, texts, max_len=64):
    made = encoder_preprocessor(folder, max_len)(texts)
    return {name: torch.from_numpy(array) for name, array in made.items()}


def features(encoder, batch):
    with torch.inference_mode():
        return encoder(**batch)


@pytest.mark.parametrize("architecture", ["distilbert", "bert", "roberta", "mpnet", "electra"])
def test_every_architecture_answers_with_its_width_whatever_the_padding(tmp_path, architecture):
    folder = write_tiny_encoder(tmp_path, TEXTS, width=48, architecture=architecture)
    assert read_facts(folder).width == 48
    for pooling in ("cls", "mean"):
        encoder = Encoder.from_folder(folder, pooling)
        together = features(encoder, inputs(folder, [*TEXTS, ""]))
        assert (together.shape, together.dtype) == ((4, 48), torch.float32)
        for row, text in zip(together, [*TEXTS, ""], strict=True):
            alone = features(encoder, inputs(folder, [text]))[0]
            torch.testing.assert_close(row, alone, rtol=1e-4, atol=1e-5)


def test_pooling_takes_the_first_token_or_the_mean_over_the_tokens(folder):
    batch = inputs(folder, TEXTS)
    first, mean = (Encoder.from_folder(folder, pooling) for pooling in ("cls", "mean"))
    with torch.inference_mode():
        hidden = first.network(**batch).last_hidden_state
    assert torch.equal(features(first, batch), hidden[:, 0])
    for row, states, mask in zip(
        features(mean, batch), hidden, batch["attention_mask"], strict=True
    ):
        torch.testing.assert_close(row, states[mask == 1].mean(0))


@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_a_text_without_any_token_has_finite_features_and_disturbs_no_other(folder, pooling):
    encoder = Encoder.from_folder(folder, pooling)
    batch = inputs(folder, ["blue shirt"])
    alone = features(encoder, batch)[0]
    with_empty = {name: torch.cat([array, array]) for name, array in batch.items()}
    with_empty["attention_mask"][1] = 0
    found = features(encoder, with_empty)
    assert torch.isfinite(found).all()
    torch.testing.assert_close(found[0], alone)
    encoder.train()
    encoder(**with_empty).sum().backward()
    gradients = [weight.grad for weight in encoder.parameters() if weight.grad is not None]
    assert all(torch.isfinite(gradient).all() for gradient in gradients)


@pytest.mark.parametrize("architecture", ["distilbert", "bert", "mpnet"])
def test_every_weight_gets_a_gradient(tmp_path, architecture):
    # One that gets none keeps processes that train together from agreeing.
    folder = write_tiny_encoder(tmp_path, TEXTS, architecture=architecture)
    encoder = Encoder.from_folder(folder).train()
    encoder(**inputs(folder, TEXTS)).square().sum().backward()
    assert [name for name, weight in encoder.named_parameters() if weight.grad is None] == []


def test_a_text_of_a_hundred_thousand_characters_is_cut_to_the_longest_input(folder):
    batch = inputs(folder, ["red shoes " * 10_000], max_len=128)
    assert batch["input_ids"].shape == (1, 128)
    assert torch.isfinite(features(Encoder.from_folder(folder), batch)).all()


@pytest.mark.parametrize("architecture", ["distilbert", "bert", "roberta", "mpnet", "electra"])
def test_an_encoder_is_rebuilt_from_a_json_value_and_its_weights(tmp_path, architecture):
    folder = write_tiny_encoder(tmp_path, TEXTS, architecture=architecture)
    encoder = Encoder.from_folder(folder, "cls")
    state = torch.random.get_rng_state()
    copy = Encoder.from_config_json(json.loads(json.dumps(encoder.config_json)))
    assert torch.equal(torch.random.get_rng_state(), state)
    assert copy.fingerprint() != encoder.fingerprint()
    copy.load_state_dict(encoder.state_dict())
    assert copy.fingerprint() == encoder.fingerprint()
    assert (copy.width, copy.pooling) == (32, "cls")
    batch = inputs(folder, TEXTS)
    assert torch.equal(features(copy, batch), features(encoder, batch))


def test_the_fingerprint_is_of_the_weights_the_config_and_the_pooling(folder):
    encoder = Encoder.from_folder(folder)
    assert Encoder.from_folder(folder).fingerprint() == encoder.fingerprint()
    assert Encoder.from_folder(folder, "cls").fingerprint() != encoder.fingerprint()
    before = encoder.fingerprint()
    with torch.no_grad():
        next(encoder.parameters())[0, 0] += 1e-6
    assert encoder.fingerprint() != before


@pytest.mark.parametrize(
    "value",
    [
        None,
        {},
        {"pooling": "mean", "config": {}},
        {"pooling": "mean", "config": {"model_type": "no-such-thing"}},
        {"pooling": "sum", "config": {"model_type": "distilbert", "dim": 8, "n_heads": 2}},
        {"pooling": "mean", "config": {"model_type": "distilbert", "dim": 8, "n_heads": 3}},
        {"pooling": "mean", "config": {"model_type": "distilbert", "dim": "x"}},
    ],
)
def test_a_damaged_description_is_refused(value):
    with pytest.raises(DataError, match="encoder"):
        Encoder.from_config_json(value)


def change_config(folder, **changes):
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_weights_of_another_width_than_the_configs_are_refused(copy):
    change_config(copy, dim=48)
    with pytest.raises(DataError, match=r"has the shape \(32,\), not \(48,\)"):
        Encoder.from_folder(copy)


def test_an_embedding_of_another_vocabulary_than_the_configs_is_refused(copy):
    change_config(copy, vocab_size=1_000)
    with pytest.raises(DataError, match="word_embeddings.weight has the shape .* not .1000, 32"):
        Encoder.from_folder(copy)


def test_weights_of_another_architecture_are_refused(copy):
    change_config(copy, model_type="bert")
    with pytest.raises(DataError, match="not those of the bert"):
        Encoder.from_folder(copy)


def test_weights_that_lack_a_layer_are_refused(copy):
    weights = load_file(copy / "model.safetensors")
    kept = {name: tensor for name, tensor in weights.items() if ".1." not in name}
    save_file(kept, copy / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(DataError, match="are missing, the first is transformer.layer.1"):
        Encoder.from_folder(copy)


def test_a_checkpoint_with_the_head_of_another_task_is_loaded_without_it(folder, copy):
    weights = load_file(copy / "model.safetensors")
    named = {f"distilbert.{name}": tensor for name, tensor in weights.items()}
    named["vocab_projector.bias"] = torch.zeros(3)
    save_file(named, copy / "model.safetensors", metadata={"format": "pt"})
    assert Encoder.from_folder(copy).fingerprint() == Encoder.from_folder(folder).fingerprint()


def test_half_precision_weights_are_loaded_as_float32(folder, copy):
    weights = load_file(copy / "model.safetensors")
    halves = {name: tensor.half() for name, tensor in weights.items()}
    save_file(halves, copy / "model.safetensors", metadata={"format": "pt"})
    encoder = Encoder.from_folder(copy)
    assert {weight.dtype for weight in encoder.parameters()} == {torch.float32}
    batch = inputs(folder, TEXTS)
    expected = features(Encoder.from_folder(folder), batch)
    np.testing.assert_allclose(features(encoder, batch), expected, atol=1e-2)


def test_pickled_weights_are_never_read(copy):
    (copy / "model.safetensors").unlink()
    torch.save({}, copy / "pytorch_model.bin")
    with pytest.raises(UnsupportedError, match="pickle"):
        Encoder.from_folder(copy)


def test_code_of_an_encoder_is_never_run(copy):
    change_config(copy, auto_map={"AutoConfig": "own.Own", "AutoModel": "own.Own"})
    (copy / "own.py").write_text("raise SystemExit")
    with pytest.raises(UnsupportedError, match="never run"):
        Encoder.from_folder(copy)
    # An unknown architecture that names no code is no better.
    change_config(copy, auto_map=None, model_type="own")
    with pytest.raises(KttError):
        Encoder.from_folder(copy)


def test_what_reads_no_text_is_no_encoder(tmp_path):
    from transformers import ViTConfig, ViTModel

    config = ViTConfig(
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=8,
        image_size=32,
    )
    with pytest.raises(UnsupportedError, match="ViTModel does not work as a BERT-like"):
        Encoder(ViTModel(config), "mean")


def test_the_tiny_encoder_is_the_same_each_time_and_listed(tmp_path, monkeypatch):
    first = write_tiny_encoder(tmp_path / "encoders" / "first", TEXTS, layers=1)
    second = write_tiny_encoder(tmp_path / "encoders" / "second", TEXTS, layers=1)
    for file in first.iterdir():
        assert file.read_bytes() == (second / file.name).read_bytes()
    monkeypatch.setenv("KTT_ENCODERS", str(tmp_path / "encoders"))
    entry = {entry.name: entry for entry in list_encoders()}["first"]
    encoder = Encoder.from_folder(first)
    assert entry.parameters == sum(weight.numel() for weight in encoder.parameters())
    assert (entry.architecture, entry.width, entry.layers) == ("distilbert", 32, 1)
