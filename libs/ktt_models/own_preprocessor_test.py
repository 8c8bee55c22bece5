"""A model's own preprocessor is used wherever its texts are, on both bases, or refused."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar, NamedTuple

import numpy as np
import pytest

from ktt_core.config import ModelConfig, build_config
from ktt_core.datasets.dataset import Dataset
from ktt_core.decoding import leaf_log_proba
from ktt_core.errors import CheckpointError, UnsupportedError
from ktt_core.model import Model
from ktt_core.own_preprocessor import check_preprocessor, portable_source
from ktt_core.preprocessors import (
    BasePreprocessor,
    SnowballStemmerPreprocessor,
    TransformerPreprocessor,
)
from ktt_core.preprocessors.base import OWN_MODULE
from ktt_core.preprocessors.stored import PREPROCESSOR_FILE
from ktt_core.preprocessors.token_rows import TokenRows
from ktt_core.tfidf.reference_features import N_REFERENCE_FEATURES
from ktt_core.tfidf.text_rows import TextRows
from ktt_models.pytorch.input.loader import EncoderLoader
from ktt_models.pytorch.training.sample_run import SampleModel, make_sample, sample_config
from ktt_models.tfidf_lsgd.tfidf_lsgd import TfidfLSGD, TfidfLSGDConfig

BACKWARDS = '''
"""Texts backwards."""
import re
from ktt_core.preprocessors import BasePreprocessor

class Backwards(BasePreprocessor):
    kind = "test-backwards"

    def __init__(self, dropped="[0-9]"):
        self.dropped = dropped

    def _fields(self):
        return {"dropped": self.dropped}

    def __call__(self, texts):
        return {"text": [re.sub(self.dropped, "", text)[::-1].lower() for text in texts]}
'''
TEXTS = ["apple banana 12", "Zebra YAK", "", "42", "one two three"]


def backwards(text: str) -> str:
    return "".join(letter for letter in text if letter not in "0123456789")[::-1].lower()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sample")
    make_sample(folder)
    return folder


@pytest.fixture(scope="module")
def module(folder: Path) -> Iterator[ModuleType]:
    (folder / "code").mkdir()
    (folder / "code/ktt_test_backwards.py").write_text(BACKWARDS)
    sys.path.insert(0, str(folder / "code"))
    yield importlib.import_module("ktt_test_backwards")
    sys.path.remove(str(folder / "code"))


def model_of(base: str, folder: Path, preprocessor: BasePreprocessor | None) -> Model:
    """Return a model that is not trained; None: with the preprocessor of its base."""
    bases: dict[str, Any] = {"tfidf": TfidfLSGD, "encoder": SampleModel}
    own: dict[str, Any] = {"model_id": "own"}
    if preprocessor is not None:
        own["get_preprocessor"] = classmethod(lambda cls, config: preprocessor)
    config: ModelConfig = build_config(TfidfLSGDConfig, "own", {"n_jobs": 1, "epochs": 2})
    if base == "encoder":
        config = sample_config(folder, epochs=1)
    model: Model = type("Own", (bases[base],), own)(
        Dataset.open(folder / "datasets" / "toy").taxonomy, config
    )
    return model


def loader(model: Model, folder: Path, split: str, **options: Any) -> Any:
    rows = Dataset.open(folder / "datasets" / "toy").split(split)
    return model.get_dataloader_func()(rows, model.preprocessor, model.config, **options)


def fit(model: Model, folder: Path) -> Model:
    model.fit(loader(model, folder, "train", shuffle=True), loader(model, folder, "val"))
    return model


def proba(model: Model, texts: list[str]) -> np.ndarray:
    levels = model.level_scores(model.preprocessor(texts))
    return np.exp(leaf_log_proba(levels, model.taxonomy, model.temperature))


class Inline(BasePreprocessor):
    """What `Backwards` does, and of a module that no export could have."""

    kind: ClassVar[str] = "test-inline"

    def __call__(self, texts: Any) -> dict[str, Any]:
        return {"text": [backwards(text) for text in texts]}


class Trained(NamedTuple):
    """Models of a base: with a preprocessor of their own, the same in another place, and none."""

    base: str
    own: Model
    by_hand: Model
    plain: Model


@pytest.fixture(scope="module", params=["tfidf", "encoder"])
def trained(request: pytest.FixtureRequest, folder: Path, module: ModuleType) -> Trained:
    """Return a base, and its model with three preprocessors."""
    base = request.param
    own, by_hand, plain = (
        fit(model_of(base, folder, preprocessor), folder)
        for preprocessor in (module.Backwards(), Inline(), None)
    )
    return Trained(base, own, by_hand, plain)


def test_it_is_used_in_training_and_in_answers(trained: Trained, folder: Path) -> None:
    _, own, by_hand, plain = trained
    np.testing.assert_array_equal(proba(own, TEXTS), proba(by_hand, TEXTS))
    np.testing.assert_array_equal(proba(own, ["abc 1"]), proba(own, ["ABC 2"]))
    assert np.abs(proba(own, TEXTS) - proba(plain, TEXTS)).max() > 0.01
    metrics = own.test(loader(own, folder, "test"))
    assert metrics == pytest.approx(by_hand.test(loader(by_hand, folder, "test")))


def test_the_checkpoint_holds_its_state(
    trained: Trained, folder: Path, module: ModuleType, tmp_path: Path
) -> None:
    base, own, _, plain = trained
    own.save(tmp_path / "best.safetensors")
    # Another default does not change what was trained.
    now = model_of(base, folder, module.Backwards("[a-z]"))
    again = type(now).from_checkpoint(tmp_path / "best.safetensors")
    assert again.preprocessor == own.preprocessor != now.preprocessor
    np.testing.assert_array_equal(proba(again, TEXTS), proba(own, TEXTS))
    plain.save(tmp_path / "plain.safetensors")
    same = type(plain).from_checkpoint(tmp_path / "plain.safetensors")
    assert type(same.preprocessor) is type(plain.preprocessor)


def test_a_checkpoint_whose_preprocessor_is_not_there_says_so(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, own, _, plain = trained
    own.save(tmp_path / "best.safetensors")
    monkeypatch.setattr("ktt_core.preprocessors.base._kinds", {"text": BasePreprocessor})
    with pytest.raises(CheckpointError, match="there is no preprocessor"):
        type(plain).from_checkpoint(tmp_path / "best.safetensors")


def test_it_is_used_in_reference_sets(trained: Trained, folder: Path) -> None:
    base, own, by_hand, _ = trained
    table = own.gen_reference_set(loader(own, folder, "test"))
    if base == "tfidf":
        texts = [
            text
            for texts, _ in Dataset.open(folder / "datasets/toy").split("test").iter_batches(99)
            for text in texts
        ]
        lengths = table.column(N_REFERENCE_FEATURES - 1).to_numpy()
        assert lengths.tolist() == [len(backwards(text)) for text in texts]
    assert table.equals(by_hand.gen_reference_set(loader(by_hand, folder, "test")))


def test_it_goes_with_exports(trained: Trained, module: ModuleType, tmp_path: Path) -> None:
    base, own, _, _ = trained
    for name in ("onnx", "artifacts"):
        (tmp_path / name).mkdir()
    own.export_onnx(tmp_path / "onnx")
    assert (tmp_path / "onnx/text_rows" / f"{OWN_MODULE}.py").is_file()
    assert own.onnx_parity(tmp_path / "onnx", TEXTS).passed
    own.export_artifacts(tmp_path / "artifacts")
    assert own.artifacts_parity(tmp_path / "artifacts", TEXTS).passed
    read: Any = (TextRows if base == "tfidf" else TokenRows)(tmp_path / "artifacts")
    found = read(TEXTS)
    (tmp_path / "artifacts" / PREPROCESSOR_FILE).unlink()
    read = (TextRows if base == "tfidf" else TokenRows)(tmp_path / "artifacts")
    expected = read([backwards(text) for text in TEXTS])
    assert all(np.array_equal(expected[name], found[name]) for name in expected)


def test_what_cannot_go_along_is_refused_before_anything_is_written(
    trained: Trained, tmp_path: Path
) -> None:
    for export in (trained.by_hand.export_onnx, trained.by_hand.export_artifacts):
        with pytest.raises(UnsupportedError, match="Inline cannot go along, because its module .*"):
            export(tmp_path)
    assert not list(tmp_path.iterdir())


def test_stemming_goes_with_a_graph_where_there_is_a_stemmer(folder: Path, tmp_path: Path) -> None:
    german = fit(model_of("tfidf", folder, SnowballStemmerPreprocessor("german")), folder)
    with pytest.raises(UnsupportedError, match="set stem to null or 'german'"):
        german.export_onnx(tmp_path)
    english = fit(model_of("tfidf", folder, SnowballStemmerPreprocessor()), folder)
    english.export_onnx(tmp_path)
    assert english.onnx_parity(tmp_path, TEXTS).passed
    encoder: Any = model_of("encoder", folder, SnowballStemmerPreprocessor())
    encoder.build()
    with pytest.raises(UnsupportedError, match="there is no stemmer"):
        encoder.export_artifacts(tmp_path)


def test_token_ids_are_cached_by_kind_state_and_code(folder: Path, module: ModuleType) -> None:
    def key(preprocessor: BasePreprocessor | None) -> Any:
        found = loader(model_of("encoder", folder, preprocessor), folder, "val")
        assert isinstance(found, EncoderLoader)
        return found.source.made_of

    own = key(module.Backwards())
    assert own == key(module.Backwards()) != key(module.Backwards("[a-z]"))
    assert own != key(None) != key(Inline())
    assert set(key(None)) == {"format", "tokenizer", "tokenizers", "max_length"}
    file = folder / "code/ktt_test_backwards.py"
    file.write_text(BACKWARDS.replace("[::-1]", ""))
    assert own != key(module.Backwards())
    file.write_text(BACKWARDS)


class Ownless(BasePreprocessor):
    def __call__(self, texts: Any) -> dict[str, Any]:
        return {"text": [text[::-1] for text in texts]}


class Failing(BasePreprocessor):
    kind: ClassVar[str] = "test-failing"

    def __call__(self, texts: Any) -> dict[str, Any]:
        raise KeyError("what")


class Arrays(BasePreprocessor):
    kind: ClassVar[str] = "test-arrays"

    def __call__(self, texts: Any) -> dict[str, Any]:
        return {"ids": np.zeros(len(texts))}


class Fewer(BasePreprocessor):
    kind: ClassVar[str] = "test-fewer"

    def __call__(self, texts: Any) -> dict[str, Any]:
        return {"text": sorted(set(texts))}


class Batched(BasePreprocessor):
    kind: ClassVar[str] = "test-batched"

    def __call__(self, texts: Any) -> dict[str, Any]:
        return {"text": [f"{text} {len(texts)}" for text in texts]}


class Stateful(BasePreprocessor):
    kind: ClassVar[str] = "test-stateful"

    def __init__(self, words: Any = frozenset()) -> None:
        self.words = words

    def _fields(self) -> dict[str, Any]:
        return {"words": self.words}


class Endless(Stateful):
    kind: ClassVar[str] = "test-endless"


class Noting(BasePreprocessor):
    """Keeps every text that it has seen."""

    kind: ClassVar[str] = "test-noting"

    def __init__(self, seen: Any = None) -> None:
        self.seen = list(seen or [])

    def _fields(self) -> dict[str, Any]:
        return {"seen": self.seen}

    def __call__(self, texts: Any) -> dict[str, Any]:
        self.seen += texts
        return super().__call__(texts)


@pytest.mark.parametrize("base", ["tfidf", "encoder"])
@pytest.mark.parametrize(
    ("preprocessor", "message"),
    [
        (Ownless(), 'give it one of its own, kind = "..." in the class Ownless'),
        (Failing(), "Failing: KeyError: 'what'"),
        (Arrays(), "must return"),
        (Fewer(), "it made 3 texts of 4|changes with the texts beside it"),
        (Batched(), "changes with the texts beside it"),
        (Stateful(), "its state cannot be kept: TypeError: Object of type frozenset"),
        # No checkpoint holds either, and one is written when all the work is done.
        (Endless(float("inf")), "its state cannot be kept: ValueError: .* not JSON compliant"),
        (Endless(["word"] * 4_000_100), "its state cannot be kept: it takes 32,"),
        (Noting(), "its state changes with the texts that it is given"),
        (str.lower, "which is no ktt_core.preprocessors.BasePreprocessor"),
    ],
)
def test_what_cannot_be_kept_or_used_is_refused_before_training(
    folder: Path, base: str, preprocessor: Any, message: str
) -> None:
    class Unread:
        n_rows = 10

        def __iter__(self) -> Iterator[Any]:
            raise AssertionError("read")

    with pytest.raises(UnsupportedError, match=message):
        model_of(base, folder, preprocessor).fit(Unread(), Unread())


def test_a_tokenizer_of_its_own_is_trained_with_and_not_exported(
    folder: Path, tmp_path: Path
) -> None:
    class BackwardsTokenizer(TransformerPreprocessor):
        kind: ClassVar[str] = "test-backwards-tokenizer"

        def counted_ids(self, texts: Any) -> Any:
            return super().counted_ids([backwards(text) for text in texts])

    model = model_of("encoder", folder, BackwardsTokenizer(folder / "encoder", 16))
    fit(model, folder)
    inputs = loader(model_of("encoder", folder, Inline()), folder, "test")
    same = model.test(loader(model, folder, "test"))
    assert (
        model.test(inputs)
        == same
        != model.test(loader(model_of("encoder", folder, None), folder, "test"))
    )
    model.save(tmp_path / "best.safetensors")
    again = type(model).from_checkpoint(tmp_path / "best.safetensors")
    assert isinstance(again.preprocessor, BackwardsTokenizer)
    with pytest.raises(UnsupportedError, match="a tokenizer of its own kind"):
        again.export_onnx(tmp_path)


def test_a_tokenizer_without_a_kind_of_its_own_is_refused_whatever_comes_before_it(
    folder: Path,
) -> None:
    class Nameless(TransformerPreprocessor):
        def counted_ids(self, texts: Any) -> Any:
            return super().counted_ids([backwards(text) for text in texts])

    tokenizer = Nameless(folder / "encoder", 16)
    for preprocessor in (tokenizer, tokenizer.after(Inline())):
        with pytest.raises(UnsupportedError, match="Nameless: it has the kind 'transformer' of an"):
            check_preprocessor(preprocessor, "own")


@pytest.mark.parametrize(
    ("name", "code", "goes"),
    [
        ("typed", "if TYPE_CHECKING:\n    import pytest", True),
        ("untyped", "if not TYPE_CHECKING:\n    import pytest", False),
        ("otherwise", "if TYPE_CHECKING:\n    import pytest\nelse:\n    import pytest", False),
    ],
)
def test_what_a_type_checker_alone_imports_need_not_go_along(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, code: str, goes: bool
) -> None:
    source = BACKWARDS.replace("test-backwards", f"test-{name}")
    file = tmp_path / f"ktt_test_{name}.py"
    file.write_text(f"from typing import TYPE_CHECKING\n{code}\n{source}")
    monkeypatch.syspath_prepend(str(tmp_path))
    made = importlib.import_module(file.stem).Backwards()
    if goes:
        assert portable_source(made, "own") == file.read_text()
    else:
        with pytest.raises(UnsupportedError, match="imports pytest, and an export has"):
            portable_source(made, "own")


def test_a_tokenizer_that_training_would_not_use_is_refused_where_it_is_defined() -> None:
    with pytest.raises(UnsupportedError, match="overrides __call__, which an encoder's training"):

        class Unused(TransformerPreprocessor):
            kind: ClassVar[str] = "test-unused"

            def __call__(self, texts: Any) -> dict[str, Any]:
                return super().__call__([text[::-1] for text in texts])
