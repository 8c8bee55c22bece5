"""Batches of a dataset's split: what is in them, from where on, and whose part they are."""

from __future__ import annotations

import csv

import numpy as np
import pytest

from ktt_core.config import build_config
from ktt_core.datasets.importer import import_dataset
from ktt_core.datasets.options import ImportOptions
from ktt_core.errors import DataError, InvalidArgumentError, NotFoundError
from ktt_core.preprocessors import BasePreprocessor, TransformerPreprocessor
from ktt_core.progress import Progress
from ktt_core.workspace import Workspace
from ktt_models.pytorch.config import EncoderConfig
from ktt_models.pytorch.encoders.tiny import write_tiny_tokenizer
from ktt_models.pytorch.input.features import FeatureLoader
from ktt_models.pytorch.input.loader import EncoderLoader, load_split
from ktt_models.pytorch.input.tokens import TokenSource

WORDS = ["red", "blue", "shoe", "shirt", "table", "oak", "run", "for", "men"]


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    """A workspace with 250 rows of 0 to 30 words."""
    folder = tmp_path_factory.mktemp("workspace")
    generator = np.random.default_rng(0)
    with (folder / "rows.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "upper", "lower", "part"])
        for row in range(250):
            text = " ".join(generator.choice(WORDS, generator.integers(1, 30)))
            part = "val" if row % 5 == 0 else "train"
            writer.writerow([text, f"u{row % 2}", f"l{row % 4}", "test" if row == 7 else part])
    options = ImportOptions("text", level_columns=("upper", "lower"), split_column="part")
    import_dataset(folder / "rows.csv", folder / "datasets" / "toys", options)
    return folder


@pytest.fixture
def dataset(workspace):
    return Workspace(workspace).open_dataset("toys")


@pytest.fixture(scope="module")
def preprocessor(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tokenizer")
    write_tiny_tokenizer(folder, WORDS)
    return TransformerPreprocessor(folder, 24)


@pytest.fixture
def train(dataset, preprocessor):
    return load_split(dataset.split("train"), preprocessor, settings(batch_size=16), True)


def settings(**values):
    return build_config(EncoderConfig, "toy", values)


def dump(batches):
    """Return batches as plain values that can be compared."""
    return [
        (
            batch.rows.tolist(),
            batch.codes.tolist(),
            {name: array.tolist() for name, array in batch.inputs.items()},
        )
        for batch in batches
    ]


def test_a_batch_is_what_the_preprocessor_makes_of_its_rows(dataset, preprocessor, train):
    split = dataset.split("train")
    texts, codes = split.texts(), split.codes()
    seen = 0
    for batch in train:
        expected = preprocessor([texts[row] for row in batch.rows])
        for name in ("input_ids", "attention_mask"):
            assert batch.inputs[name].dtype == np.int64
            assert np.array_equal(batch.inputs[name], expected[name])
        assert np.array_equal(batch.codes, codes[batch.rows])
        assert batch.codes.dtype == np.int32
        seen += len(batch.rows)
    assert seen == train.n_rows == split.n_rows
    assert np.array_equal(train.codes, codes)


def test_a_pass_has_every_row_once_in_as_many_batches_as_it_says(train):
    batches = list(train)
    rows = np.concatenate([batch.rows for batch in batches])
    assert sorted(rows.tolist()) == list(range(train.n_rows))
    assert [len(batch.rows) for batch in batches[:-1]] == [16] * (len(train) - 1)
    assert len(batches) == len(train)


def test_the_order_depends_on_the_seed_and_the_pass_alone(dataset, preprocessor, train):
    first, second = dump(train), dump(train)
    assert first != second
    other = load_split(dataset.split("train"), preprocessor, settings(batch_size=16), True)
    other.epoch = 1
    assert dump(other) == second
    seeded = load_split(dataset.split("train"), preprocessor, settings(batch_size=16, seed=1), True)
    assert dump(seeded) != first


def test_a_pass_goes_on_from_any_batch(train):
    epochs = [dump(train) for _ in range(3)]
    for batch in (0, 1, 5, len(train)):
        train.start_at(1, batch)
        assert dump(train) == epochs[1][batch:]
        assert train.epoch == 2
        assert dump(train) == epochs[2]
    for place in ((-1, 0), (0, -1), (0, len(train) + 1)):
        with pytest.raises(InvalidArgumentError, match="no batch"):
            train.start_at(*place)


def test_unshuffled_batches_go_from_long_to_short_and_are_the_same_each_time(dataset, preprocessor):
    val = load_split(dataset.split("val"), preprocessor, settings(eval_batch_size=8))
    first = list(val)
    widths = [batch.inputs["input_ids"].shape[1] for batch in first]
    assert widths == sorted(widths, reverse=True)
    assert dump(val) == dump(first)
    rows = np.concatenate([batch.rows for batch in first])
    assert sorted(rows.tolist()) == list(range(val.n_rows))


def test_tokenising_is_told_and_done_once(workspace, dataset, preprocessor):
    for _ in range(2):
        loader = load_split(dataset.split("train"), preprocessor, settings())
        loader.prepare()
    seen: list[Progress] = []
    load_split(dataset.split("train"), preprocessor, settings()).prepare(seen.append)
    assert seen == []
    short = TransformerPreprocessor.from_json({**preprocessor.to_json(), "max_length": 9})
    load_split(dataset.split("train"), short, settings()).prepare(seen.append)
    assert {event.phase for event in seen} == {"tokenize"}
    assert (seen[0].step, seen[-1].step, seen[-1].total) == (0, 199, 199)


def test_a_loader_needs_token_ids_and_a_batch_a_row(dataset, preprocessor, tmp_path):
    # Texts are cut into tokens by the encoder's own tokenizer, which is not there.
    with pytest.raises(NotFoundError, match="nowhere"):
        load_split(
            dataset.split("train"), BasePreprocessor(), settings(encoder=str(tmp_path / "nowhere"))
        )
    with pytest.raises(InvalidArgumentError, match="at least one row"):
        EncoderLoader(TokenSource(dataset.split("train"), preprocessor), 0)


def test_a_damaged_split_is_told(tmp_path, dataset, preprocessor):
    path = tmp_path / "datasets" / "toys"
    path.mkdir(parents=True)
    for file in dataset.folder.iterdir():
        (path / file.name).write_bytes(file.read_bytes())
    content = bytearray((path / "train.parquet").read_bytes())
    content[40:80] = bytes(40)
    (path / "train.parquet").write_bytes(content)
    split = Workspace(tmp_path).open_dataset("toys").split("train")
    with pytest.raises(DataError, match=r"train\.parquet"):
        load_split(split, preprocessor, settings()).prepare()
    assert list((tmp_path / "cache").glob("*/*/*")) == []


# -- features ----------------------------------------------------------------------------------


class CountingEncoder:
    """Answers with a text's length and its mean id, and counts the texts."""

    def __init__(self):
        self.texts = 0

    def __call__(self, inputs):
        ids, mask = inputs["input_ids"], inputs["attention_mask"]
        self.texts += len(ids)
        lengths = mask.sum(axis=1)
        return np.stack([lengths, (ids * mask).sum(axis=1) / lengths], axis=1).astype(np.float32)


def test_features_are_computed_once_per_text_and_kept(dataset, preprocessor):
    config = settings(batch_size=16, seed=3)
    tokens = load_split(dataset.split("train"), preprocessor, config, shuffle=True)
    encode = CountingEncoder()
    loader = FeatureLoader(tokens, encode, "sha256:one", 2, encode_rows=7)
    seen: list[Progress] = []
    loader.prepare(seen.append)
    assert {event.phase for event in seen} == {"features"}
    assert (seen[0].step, seen[-1].step) == (0, 199)
    texts = dataset.split("train").texts()
    for batch in [*loader, *loader]:
        features = batch.inputs["features"]
        expected = CountingEncoder()(preprocessor([texts[row] for row in batch.rows]))
        assert features.dtype == np.float32
        np.testing.assert_array_equal(features, expected)
        assert np.array_equal(batch.codes, tokens.codes[batch.rows])
    assert encode.texts == loader.n_rows == 199
    again = FeatureLoader(tokens, encode, "sha256:one", 2)
    assert len(list(again)) == len(tokens)
    assert encode.texts == 199
    FeatureLoader(tokens, encode, "sha256:two", 2).prepare()
    assert encode.texts == 398


def test_features_come_in_an_order_of_their_own_and_unshuffled_as_in_the_file(
    dataset, preprocessor
):
    config = settings(batch_size=16, eval_batch_size=16)
    for shuffle in (True, False):
        tokens = load_split(dataset.split("val"), preprocessor, config, shuffle)
        loader = FeatureLoader(tokens, CountingEncoder(), "sha256:one", 2)
        first = [batch.rows.tolist() for batch in loader]
        flat = [row for rows in first for row in rows]
        assert (flat == list(range(50))) is not shuffle
        assert sorted(flat) == list(range(50))
        loader.start_at(0, 2)
        assert [batch.rows.tolist() for batch in loader] == first[2:]
