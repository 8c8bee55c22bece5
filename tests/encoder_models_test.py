"""Encoder models at the command line: one goes the whole road; bad input is told in one line."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from conftest import Ktt, rows
from ktt_models.pytorch.encoders.tiny import write_tiny_encoder

# Rates that a tiny encoder learns with.
RATES = ("--set", "encoder_lr=0.003", "--set", "classifier_lr=0.01", "--set", "batch_size=16")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    texts = [text for text, _ in rows()]
    return write_tiny_encoder(tmp_path_factory.mktemp("encoders") / "tiny", texts, width=64)


def assert_clear(ktt: Ktt, code: int, *arguments: object, says: tuple[str, ...]) -> None:
    """Run a command that must fail with one line that says what is wrong."""
    done = ktt(*arguments)
    assert done.code == code, done.err
    assert "Traceback" not in done.err
    (error,) = [line for line in done.err.splitlines() if line.startswith("Error")]
    assert all(text in error for text in says), error
    assert len(error) < 1000


def test_an_encoder_model_goes_the_whole_road(
    ktt: Ktt, shop: str, tiny: Path, workspace: Path
) -> None:
    trained = ktt(
        "train", shop, "-m", "db_linear,tfidf_hsgd", "--encoder", tiny, "-r", "-e", 6, "--json"
    )
    assert trained.code == 0, trained.err
    assert [(run["model"], run["error"]) for run in trained.json] == [
        ("db_linear", None),
        ("tfidf_hsgd", None),
    ]
    (folder,) = (workspace / "weights/db_linear").iterdir()
    kinds = {path.name.split("_")[0] + "".join(path.suffixes[-1:]) for path in folder.iterdir()}
    assert {"best.safetensors", "last.safetensors", "last.html", "last.parquet"} <= kinds
    # What was trained needs nothing but its checkpoint.
    tiny.rename(tiny.with_name("gone"))
    try:
        evaluated = ktt("evaluate", shop, "-m", "db_linear,tfidf_hsgd", "--json")
        assert [result["model"] for result in evaluated.json] == ["db_linear", "tfidf_hsgd"]
        assert evaluated.json[0]["hierarchical_f1"] == pytest.approx(
            trained.json[0]["metrics"]["test"]["hierarchical_f1"], abs=1e-6
        )
        texts = ("?", "shoes " * 20_000, "\u2603\0\u200b", "red guitar")
        predicted = ktt("predict", shop, "-m", "db_linear", "--json", "--top-k", "2", *texts)
        assert predicted.code == 0, predicted.err
        for answer in predicted.json:
            first, second = (prediction["probability"] for prediction in answer["predictions"])
            assert 1 >= first >= second >= 0
    finally:
        tiny.with_name("gone").rename(tiny)


def without(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def config(**values: object) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        file = folder / "config.json"
        file.write_text(json.dumps({**json.loads(file.read_text()), **values}))

    return write


def truncated_weights(folder: Path) -> None:
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:1000])


def pickled_weights(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


@pytest.mark.parametrize(
    ("damage", "code", "says"),
    [
        (without("tokenizer.json"), 3, ("tokenizer",)),
        (without("config.json"), 3, ("config.json",)),
        (pickled_weights, 2, ("safetensors",)),
        (truncated_weights, 4, ("model.safetensors",)),
        (config(model_type="gpt2"), 1, ("gpt2",)),
        (config(vocab_size=7), 1, ("vocab_size",)),
        (config(dim=128), 1, ("config.json",)),
        (config(auto_map={"AutoModel": "evil.Model"}, model_type="evil"), 2, ("auto_map",)),
    ],
    ids=[
        "no tokenizer",
        "no config",
        "weights in a pickle",
        "half the weights",
        "no encoder",
        "another vocabulary",
        "another width",
        "code of its own",
    ],
)
def test_an_encoder_folder_that_cannot_be_used(
    ktt: Ktt,
    shop: str,
    tiny: Path,
    tmp_path: Path,
    workspace: Path,
    damage: Callable[[Path], None],
    code: int,
    says: tuple[str, ...],
) -> None:
    folder = tmp_path / "damaged"
    shutil.copytree(tiny, folder)
    damage(folder)
    assert_clear(
        ktt, code, "train", shop, "-m", "db_linear", "--encoder", folder, "-e", 1, says=says
    )
    assert not list(workspace.rglob("*.safetensors"))


def test_an_encoder_that_is_nowhere(ktt: Ktt, shop: str) -> None:
    """Three ways to give one are named; nothing is looked for on the hub unless it is asked for."""
    says = ("no-such/encoder", "folder", "Hugging Face", "--download")
    assert_clear(
        ktt, 3, "train", shop, "-m", "db_linear", "--encoder", "no-such/encoder", says=says
    )
    assert_clear(
        ktt, 2, "train", shop, "-m", "tfidf_hsgd", "--encoder", "no-such/encoder", says=("encoder",)
    )


@pytest.mark.parametrize(
    ("wrong", "code", "says"),
    [
        ("max_len=0", 2, "max_len"),
        ("max_len=4000", 1, "128"),
        ("pooling=max", 2, "pooling"),
        ("accumulate=64", 2, "batch_size"),
        ("precision=fp8", 2, "precision"),
    ],
)
def test_hyperparameters_are_checked(
    ktt: Ktt, shop: str, tiny: Path, wrong: str, code: int, says: str
) -> None:
    given = ("-m", "db_linear", "--encoder", tiny, "--set", wrong)
    assert_clear(ktt, code, "train", shop, *given, says=(says,))


def test_encoders_are_listed_where_they_are_found(
    ktt: Ktt, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KTT_ENCODERS", str(tiny.parent))
    listed = ktt("encoders", "list", "--json")
    assert listed.code == 0, listed.err
    (found,) = [entry for entry in listed.json if entry["name"] == "tiny"]
    assert found["width"] == 64
    assert "tiny" in ktt("encoders", "list").out
