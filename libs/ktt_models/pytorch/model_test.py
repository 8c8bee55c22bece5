"""What every encoder model promises, whatever its head."""

from __future__ import annotations

import json
import resource
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ktt_core.checkpoints.format import read_arrays, write_arrays
from ktt_core.datasets.dataset import Dataset
from ktt_core.datasets.importer import import_dataset
from ktt_core.datasets.options import ImportOptions
from ktt_core.decoding import leaf_log_proba
from ktt_core.errors import (
    CheckpointError,
    DataError,
    FailedPreconditionError,
    InvalidArgumentError,
    NotFoundError,
    ResourceExhaustedError,
    TrainingError,
    UnsupportedError,
)
from ktt_core.loader import SplitLoader
from ktt_core.progress import Progress
from ktt_core.taxonomy import Taxonomy
from ktt_models.pytorch.input.features import FeatureLoader
from ktt_models.pytorch.input.loader import EncoderLoader
from ktt_models.pytorch.training.sample_run import (
    SampleModel,
    damage_encoder,
    fit_sample,
    make_sample,
    sample_config,
)
from ktt_models.pytorch.training.timing import PHASES, StepTimer


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sample")
    make_sample(folder)
    return folder


@pytest.fixture(scope="module")
def dataset(folder: Path) -> Dataset:
    return Dataset.open(folder / "datasets" / "toy")


@pytest.fixture(scope="module")
def events() -> list[Progress]:
    return []


@pytest.fixture(scope="module")
def model(folder: Path, events: list[Progress]) -> SampleModel:
    config = sample_config(folder, epochs=4)
    trained, _ = fit_sample(folder, config, folder / "last.safetensors", progress=events.append)
    trained.save(folder / "best.safetensors")
    return trained


@pytest.fixture(scope="module")
def checkpoint(model: SampleModel, folder: Path) -> Path:
    return folder / "best.safetensors"


def loader(model: SampleModel, dataset: Dataset, split: str, **config: Any) -> Any:
    changed = model.config.model_copy(update=config)
    return model.get_dataloader_func()(dataset.split(split), model.preprocessor, changed)


def edited(checkpoint: Path, target: Path, edit: Callable[[dict[str, Any], Any], None]) -> Path:
    """Write a whole checkpoint with other contents."""
    metadata, arrays = read_arrays(checkpoint, "sample")
    edit(metadata, arrays)
    write_arrays(target, metadata, arrays)
    return target


# -- training --------------------------------------------------------------------------------------


def test_training_learns_and_the_best_epoch_is_the_model(
    model: SampleModel, dataset: Dataset
) -> None:
    best = model.record.metrics["val"]
    epochs = [point for point in model.record.history if "epoch" in point]
    assert best["hierarchical_f1"] > 0.95
    assert best["hierarchical_f1"] == max(point["hierarchical_f1"] for point in epochs)
    equal = [point for point in epochs if point["hierarchical_f1"] == best["hierarchical_f1"]]
    assert len(equal) > 1
    assert best["val_loss"] == min(point["val_loss"] for point in equal)
    metrics = model.test(loader(model, dataset, "val"))
    assert {**best, **metrics} == pytest.approx(best, abs=1e-6)


def test_fit_and_test_measure_with_a_models_own_function(
    folder: Path, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = staticmethod(lambda: lambda log_proba, codes, taxonomy: {"rows": float(len(codes))})
    monkeypatch.setattr(SampleModel, "get_metrics_func", own)
    trained, metrics = fit_sample(folder, sample_config(folder, epochs=1))
    n_rows = float(dataset.sizes["val"])
    assert metrics == trained.test(loader(trained, dataset, "val")) == {"rows": n_rows}
    assert trained.record.metrics["val"]["rows"] == n_rows


def test_rows_of_other_classes_are_refused(
    model: SampleModel, dataset: Dataset, tmp_path: Path
) -> None:
    lines = Path(dataset.folder.parents[1] / "rows.jsonl").read_text().replace('"first"', '"last"')
    (tmp_path / "rows.jsonl").write_text(lines)
    folder = tmp_path / "datasets" / "toy"
    import_dataset(tmp_path / "rows.jsonl", folder, ImportOptions("text", classes="labels"))
    other = Dataset.open(folder)
    assert other.taxonomy.level_sizes.tolist() == dataset.taxonomy.level_sizes.tolist()
    tokens = loader(model, other, "val")
    features = FeatureLoader(tokens, lambda inputs: np.zeros((len(inputs), 4), np.float32), "", 4)
    for rows in (tokens, features):
        with pytest.raises(FailedPreconditionError, match="3 of its 6 class paths are left"):
            model.test(rows)
        with pytest.raises(FailedPreconditionError, match="imported again"):
            model.gen_reference_set(rows)
    train = loader(model, other, "train")
    with pytest.raises(FailedPreconditionError, match="imported again"):
        SampleModel(dataset.taxonomy, model.config).fit(train, train)


def test_the_history_tells_the_loss_of_every_step_of_a_short_run(model: SampleModel) -> None:
    steps = [point for point in model.record.history if "epoch" not in point]
    assert [point["step"] for point in steps] == list(range(1, 49))
    epochs = [point for point in model.record.history if "epoch" in point]
    assert [point["step"] for point in epochs] == [12.0, 24.0, 36.0, 48.0]
    for number, point in enumerate(epochs):
        losses = [step["loss"] for step in steps[12 * number : 12 * (number + 1)]]
        assert point["loss"] == pytest.approx(np.mean(losses))


def test_every_step_is_told_with_its_figures(model: SampleModel, events: list[Progress]) -> None:
    steps = [event for event in events if event.phase == "fit"]
    assert [event.step for event in steps] == list(range(49))
    assert {event.total for event in steps} == {48}
    assert steps[-1].metrics.keys() == {"loss", "learning_rate", "texts_per_second"}
    assert steps[-1].metrics["texts_per_second"] > 0
    validations = [event for event in events if event.phase == "validate" and event.metrics]
    assert len(validations) == 4


def test_the_temperature_lowers_the_calibration_error_where_it_can(model: SampleModel) -> None:
    assert model.temperature != 1.0
    validation = model.record.metrics["val"]
    assert validation["calibration_error"] < validation["calibration_error_uncalibrated"]


def test_parts_of_a_step_make_no_difference(folder: Path) -> None:
    # The encoder drops nothing here: every part would draw masks of its own.
    quiet = folder / "quiet"
    shutil.copytree(folder / "encoder", quiet, dirs_exist_ok=True)
    config = json.loads((quiet / "config.json").read_text())
    (quiet / "config.json").write_text(
        json.dumps({**config, "dropout": 0.0, "attention_dropout": 0.0})
    )
    histories = []
    for accumulate in (1, 5):
        config = sample_config(
            folder, encoder=str(quiet), dropout=0.0, epochs=1, accumulate=accumulate
        )
        histories.append(fit_sample(folder, config)[0].record.history)
    for one, other in zip(*histories, strict=True):
        assert one["loss"] == pytest.approx(other["loss"], rel=1e-4)


def test_training_ends_when_patience_does(folder: Path) -> None:
    config = sample_config(folder, epochs=50, patience=2, encoder_lr=0.0, classifier_lr=1e-9)
    model, _ = fit_sample(folder, config)
    assert [point["epoch"] for point in model.record.history if "epoch" in point] == [1, 2, 3]


def test_the_same_seed_gives_the_same_weights_and_leaves_the_random_state_alone(
    folder: Path, tmp_path: Path
) -> None:
    def weights(seed: int) -> torch.Tensor:
        config = sample_config(folder, epochs=1, seed=seed)
        network = fit_sample(folder, config)[0].network
        return torch.cat([weight.flatten() for weight in network.state_dict().values()])

    torch.manual_seed(7)
    before = torch.random.get_rng_state()
    first = weights(3)
    assert torch.equal(before, torch.random.get_rng_state())
    torch.rand(5)
    assert torch.equal(first, weights(3))
    assert not torch.equal(first, weights(4))


def test_a_frozen_encoder_stays_as_it_is_and_reads_every_text_once(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = sample_config(folder, freeze_encoder=True, epochs=6, classifier_lr=0.05)
    read: list[int] = []
    forward = torch.nn.Module.__call__

    def counting(module: Any, *args: Any, **kwargs: Any) -> Any:
        if type(module).__name__ == "Encoder" and torch.is_inference_mode_enabled():
            read.append(len(args[0]))
        return forward(module, *args, **kwargs)

    monkeypatch.setattr(torch.nn.Module, "__call__", counting)
    model, metrics = fit_sample(folder, config, folder / "frozen.safetensors")
    assert metrics["hierarchical_f1"] > 0.5
    # 192 rows of train and 24 of val, and the one token of the look at the encoder.
    assert sum(read) in (216, 217)
    untrained = SampleModel(model.taxonomy, config)
    untrained.build()
    for name, weight in untrained.network.encoder.state_dict().items():
        assert torch.equal(weight, model.network.encoder.state_dict()[name])
    again, _ = fit_sample(folder, config, resume_from=folder / "frozen.safetensors")
    assert again.record.metrics == model.record.metrics


def test_a_timer_sees_where_the_time_goes(folder: Path, dataset: Dataset) -> None:
    config = sample_config(folder, epochs=1)
    model = SampleModel(dataset.taxonomy, config)
    timer = model.mark = StepTimer()
    load = model.get_dataloader_func()
    train = load(dataset.split("train"), model.preprocessor, config, shuffle=True)
    model.fit(train, load(dataset.split("val"), model.preprocessor, config))
    assert timer.shares().keys() == set(PHASES)
    assert sum(timer.shares().values()) == pytest.approx(1.0)
    assert timer.seconds["backward"] > 0.0 and timer.seconds["between"] > 0.0


# -- what cannot be trained ------------------------------------------------------------------------


def test_a_loss_that_is_no_number_stops_the_run_with_step_cause_and_checkpoint(
    folder: Path, tmp_path: Path
) -> None:
    class Diverging(SampleModel):
        def make_head(self, width: int) -> Any:
            head = super().make_head(width)
            loss, calls = head.loss, iter(range(1000))
            head.loss = lambda outputs, codes: loss(outputs, codes) * (  # type: ignore[method-assign]
                1.0 if next(calls) < 13 else float("nan")
            )
            return head

    config = sample_config(folder)
    dataset = Dataset.open(folder / "datasets" / "toy")
    model = Diverging(dataset.taxonomy, config)
    load = model.get_dataloader_func()
    path = tmp_path / "last.safetensors"
    with pytest.raises(TrainingError) as caught:
        model.fit(
            load(dataset.split("train"), model.preprocessor, config, shuffle=True),
            load(dataset.split("val"), model.preprocessor, config),
            path,
        )
    message = str(caught.value)
    assert "diverged at step 14 of 24: the loss is nan" in message
    assert "lower encoder_lr (0.001) and classifier_lr (0.01)" in message
    assert str(path) in message
    kept = SampleModel.from_checkpoint(path)
    assert all(torch.isfinite(weight).all() for weight in kept.network.state_dict().values())


def test_scores_that_are_no_numbers_stop_the_run_too(folder: Path, tmp_path: Path) -> None:
    config = sample_config(folder)
    dataset = Dataset.open(folder / "datasets" / "toy")
    model = SampleModel(dataset.taxonomy, config)
    load = model.get_dataloader_func()
    validating: list[bool] = []

    def spoil(event: Progress) -> None:
        # As a last update that is far too large would.
        if event.phase == "fit" and event.step == 12:
            validating.append(True)
            with torch.no_grad():
                model.network.head.get_submodule("linear").get_parameter("bias").fill_(float("nan"))

    with pytest.raises(TrainingError, match="at step 12 of 24: scores of validation rows are nan"):
        model.fit(
            load(dataset.split("train"), model.preprocessor, config, shuffle=True),
            load(dataset.split("val"), model.preprocessor, config),
            tmp_path / "last.safetensors",
            progress=spoil,
        )
    assert validating and not (tmp_path / "last.safetensors").exists()


def test_a_finished_state_needs_no_processes_to_be_continued(folder: Path, tmp_path: Path) -> None:
    config, path = sample_config(folder), tmp_path / "last.safetensors"
    _, finished = fit_sample(folder, config, path)
    shared = sample_config(folder, processes=2)
    _, again = fit_sample(folder, shared, tmp_path / "other.safetensors", resume_from=path)
    assert again == finished


@pytest.mark.parametrize("step", [12, 17])
def test_weights_that_are_no_numbers_never_take_the_place_of_a_good_checkpoint(
    folder: Path, tmp_path: Path, step: int
) -> None:
    """At the end of an epoch without validation rows, and when a checkpoint is due within one."""
    config = sample_config(folder, checkpoint_minutes=1e-9)
    dataset = Dataset.open(folder / "datasets" / "toy")
    model = SampleModel(dataset.taxonomy, config)
    load = model.get_dataloader_func()
    none = load(dataset.split("val"), model.preprocessor, config)
    assert isinstance(none, EncoderLoader)
    none._n_rows = 0
    path = tmp_path / "last.safetensors"

    def spoil(event: Progress) -> None:
        if event.phase == "fit" and event.step == step:
            # A checkpoint that is still being written has the next one left out.
            for thread in threading.enumerate():
                if thread.name == "checkpoint":
                    thread.join()
            with torch.no_grad():
                model.network.head.get_submodule("linear").get_parameter("bias").fill_(float("inf"))

    with pytest.raises(TrainingError, match=f"at step {step} of 24: there are weights that") as end:
        model.fit(
            load(dataset.split("train"), model.preprocessor, config, shuffle=True),
            none,
            path,
            progress=spoil,
        )
    assert str(path) in str(end.value)
    kept = SampleModel.from_checkpoint(path)
    assert all(torch.isfinite(weight).all() for weight in kept.network.state_dict().values())


def test_an_encoder_with_damaged_weights_is_told_at_the_first_step(
    folder: Path, tmp_path: Path
) -> None:
    damage_encoder(folder / "encoder", tmp_path / "damaged")
    config = sample_config(folder, encoder=str(tmp_path / "damaged"))
    with pytest.raises(
        TrainingError, match="at step 1 of 24.*an encoder whose weights are damaged"
    ):
        fit_sample(folder, config, tmp_path / "last.safetensors")
    assert not (tmp_path / "last.safetensors").exists()


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
        RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory"),
        MemoryError(),
    ],
)
def test_a_want_of_memory_names_the_settings_to_lower(
    folder: Path, dataset: Dataset, model: SampleModel, error: Exception
) -> None:
    def fail(*args: Any) -> None:
        raise error

    batch = next(iter(loader(model, dataset, "test")))
    hook = model.network.encoder.register_forward_pre_hook(fail)
    try:
        with pytest.raises(ResourceExhaustedError, match=r"lower eval_batch_size \(64\)"):
            model.level_scores(batch.inputs)
    finally:
        hook.remove()

    class Greedy(SampleModel):
        def build(self) -> None:
            super().build()
            self.network.encoder.register_forward_pre_hook(fail)

    config = sample_config(folder)
    greedy = Greedy(dataset.taxonomy, config)
    train = greedy.get_dataloader_func()(dataset.split("train"), greedy.preprocessor, config)
    with pytest.raises(
        ResourceExhaustedError, match=r"batch_size \(16\) or max_len \(16\), or raise accumulate"
    ):
        greedy.fit(train, train)


def test_other_errors_of_torch_are_not_taken_for_a_want_of_memory(
    model: SampleModel, dataset: Dataset
) -> None:
    with pytest.raises(RuntimeError, match="must match|size of tensor|shape"):
        model.level_scores({"features": np.zeros((2, 3), np.float32)})


def test_one_class_or_a_foreign_loader_cannot_be_trained(folder: Path, dataset: Dataset) -> None:
    config = sample_config(folder)
    load = SampleModel.get_dataloader_func()
    preprocessor = SampleModel.get_preprocessor(config)
    train = load(dataset.split("train"), preprocessor, config, shuffle=True)
    with pytest.raises(DataError, match="one class path only"):
        SampleModel(Taxonomy.from_paths([("a",)]), config).fit(train, train)
    foreign = SplitLoader(dataset.split("train"), preprocessor, 16)
    with pytest.raises(InvalidArgumentError, match="SampleModel.get_dataloader_func"):
        SampleModel(dataset.taxonomy, config).fit(foreign, foreign)


def test_fp16_needs_a_gpu(folder: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is one")
    with pytest.raises(UnsupportedError, match="fp16 needs a GPU"):
        fit_sample(folder, sample_config(folder, precision="fp16"))


def test_bf16_trains_the_encoder_in_less_and_the_head_in_full_precision(folder: Path) -> None:
    seen: dict[str, set[torch.dtype]] = {"head": set(), "encoder": set()}

    class Watched(SampleModel):
        def build(self) -> None:
            super().build()
            network = self.network
            linear = network.head.get_submodule("linear")
            linear.register_forward_hook(
                lambda module, inputs, output: seen["head"].add(output.dtype)
            )
            for module in network.encoder.modules():
                if isinstance(module, torch.nn.Linear):
                    module.register_forward_hook(
                        lambda module, inputs, output: seen["encoder"].add(output.dtype)
                    )

    dataset = Dataset.open(folder / "datasets" / "toy")
    config = sample_config(folder, precision="bf16")
    model = Watched(dataset.taxonomy, config)
    load = model.get_dataloader_func()
    train = load(dataset.split("train"), model.preprocessor, config, shuffle=True)
    metrics = model.fit(train, load(dataset.split("val"), model.preprocessor, config))
    assert metrics["hierarchical_f1"] > 0.5
    assert seen == {"head": {torch.float32}, "encoder": {torch.bfloat16}}
    assert {weight.dtype for weight in model.network.parameters()} == {torch.float32}


# -- answering -------------------------------------------------------------------------------------


def test_batches_their_order_and_their_padding_make_no_difference(
    model: SampleModel, dataset: Dataset
) -> None:
    texts = dataset.split("test").texts() * 5
    inputs = model.preprocessor(texts)
    (whole,) = model.level_scores(inputs)
    assert len(whole) == len(texts) > model.config.eval_batch_size
    for number in (0, 7, len(texts) - 1):
        (alone,) = model.level_scores(model.preprocessor([texts[number]]))
        np.testing.assert_allclose(alone[0], whole[number], atol=1e-5)


def test_one_long_text_does_not_pad_the_others(model: SampleModel) -> None:
    widths: list[int] = []
    hook = model.network.encoder.register_forward_pre_hook(
        lambda module, args: widths.append(args[0].shape[1])
    )
    try:
        model.level_scores(model.preprocessor(["a1"] * 100 + ["a1 b2 c3 d4 e5 f6 a7 b8 c9"]))
    finally:
        hook.remove()
    assert min(widths) < max(widths) and len(widths) == 2


@pytest.mark.parametrize("text", ["", " ", "\u200b", "x" * 100_000, "a1 " * 33_333, "🎾\x00中"])
def test_any_text_has_an_answer(model: SampleModel, text: str) -> None:
    levels = model.level_scores(model.preprocessor([text, "a1"]))
    proba = np.exp(leaf_log_proba(levels, model.taxonomy, model.temperature))
    np.testing.assert_allclose(proba.sum(axis=1), 1.0, atol=1e-4)


def test_answers_draw_no_dropout(model: SampleModel) -> None:
    inputs = model.preprocessor(["a1 b2", "c3"])
    model.network.train()
    (first,), (second,) = model.level_scores(inputs), model.level_scores(inputs)
    np.testing.assert_array_equal(first, second)


def test_the_reference_set_holds_targets_features_and_probabilities(
    model: SampleModel, dataset: Dataset
) -> None:
    table = model.gen_reference_set(loader(model, dataset, "test", eval_batch_size=7))
    assert table.column_names == ["targets", "0", *"abcdef"]
    assert table.num_rows == dataset.sizes["test"]
    rows = np.stack([table[name].to_numpy() for name in "abcdef"], axis=1)
    np.testing.assert_allclose(rows.sum(axis=1), 1.0, atol=1e-4)
    targets = np.array(table["targets"].to_pylist())
    assert (np.array(list("abcdef"))[rows.argmax(axis=1)] == targets).mean() > 0.8
    # In the split's order, whatever that of the batches.
    parts = [codes for _, codes in dataset.split("test").iter_batches(64)]
    leaves = np.concatenate(parts)[:, -1]
    assert targets.tolist() == [model.taxonomy.leaf_paths[leaf][-1] for leaf in leaves]


def test_an_untrained_model_says_so(folder: Path, dataset: Dataset) -> None:
    untrained = SampleModel(dataset.taxonomy, sample_config(folder))
    with pytest.raises(UnsupportedError, match="not trained yet"):
        untrained.level_scores({})


# -- checkpoints -----------------------------------------------------------------------------------


def test_a_checkpoint_answers_alone(
    model: SampleModel, checkpoint: Path, dataset: Dataset, folder: Path
) -> None:
    inputs = model.preprocessor(["a1 b2", "c3"])
    encoder = folder / "encoder"
    encoder.rename(folder / "away")
    try:
        loaded = SampleModel.from_checkpoint(checkpoint)
        assert loaded.preprocessor == model.preprocessor
        (first,), (second,) = loaded.level_scores(inputs), model.level_scores(inputs)
        last = SampleModel.from_checkpoint(folder / "last.safetensors")
        assert last.record.history == model.record.history
    finally:
        (folder / "away").rename(encoder)
    np.testing.assert_array_equal(first, second)
    assert loaded.temperature == model.temperature
    assert loaded.config == model.config and loaded.taxonomy == model.taxonomy
    assert loaded.record == model.record
    assert loaded.record.versions.keys() >= {"torch", "transformers", "accelerate"}


def test_only_a_last_checkpoint_can_be_continued(checkpoint: Path, folder: Path) -> None:
    with pytest.raises(CheckpointError, match="only a last checkpoint can be continued"):
        fit_sample(folder, sample_config(folder, epochs=4), resume_from=checkpoint)


def test_a_run_on_another_import_is_not_continued(
    model: SampleModel, folder: Path, tmp_path: Path
) -> None:
    def reimported(metadata: dict[str, Any], arrays: Any) -> None:
        metadata["dataset"]["fingerprint"] = "sha256:other"

    last = edited(folder / "last.safetensors", tmp_path / "last", reimported)
    with pytest.raises(CheckpointError, match="another import of 'toy'"):
        fit_sample(folder, sample_config(folder, epochs=4), resume_from=last)


def test_weights_of_another_taxonomy_model_or_width_are_refused(
    checkpoint: Path, folder: Path, tmp_path: Path
) -> None:
    other = SampleModel(Taxonomy.from_paths([("a", "b"), ("a", "c")]), sample_config(folder))
    with pytest.raises(CheckpointError, match="trained on another taxonomy"):
        other.load(checkpoint)

    class Another(SampleModel):
        model_id = "another"

    with pytest.raises(CheckpointError, match="of the model 'sample', not of 'another'"):
        Another.from_checkpoint(checkpoint)

    def narrower(metadata: dict[str, Any], arrays: Any) -> None:
        metadata["encoder"]["config"]["dim"] = 16

    with pytest.raises(CheckpointError, match=r"the shape \(.*32.*\) instead of \(.*16.*\)"):
        SampleModel.from_checkpoint(edited(checkpoint, tmp_path / "narrow", narrower))


@pytest.mark.parametrize("forged", [{"n_layers": 10**7}, {"max_position_embeddings": 10**9}])
def test_an_encoder_larger_than_its_weights_is_not_built(
    checkpoint: Path, tmp_path: Path, forged: dict[str, int]
) -> None:
    def forge(metadata: dict[str, Any], arrays: Any) -> None:
        metadata["encoder"]["config"].update(forged)

    path = edited(checkpoint, tmp_path / "forged", forge)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(CheckpointError, match="larger encoder than its weights"):
        SampleModel.from_checkpoint(path)
    # In kibibytes.
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200 * 1024


@pytest.mark.parametrize(
    "edit",
    [
        lambda metadata, arrays: metadata.pop("encoder"),
        lambda metadata, arrays: metadata.pop("preprocessor"),
        lambda metadata, arrays: metadata.pop("temperature"),
        lambda metadata, arrays: metadata.update(encoder={"pooling": "mean", "config": {}}),
        lambda metadata, arrays: metadata["encoder"]["config"].update(model_type="gpt-none"),
        lambda metadata, arrays: metadata["preprocessor"].update(tokenizer="{}"),
        lambda metadata, arrays: metadata.update(config={"epochs": -1}),
        lambda metadata, arrays: arrays.pop("network.head.linear.bias"),
        lambda metadata, arrays: arrays.update({"network.head.more": np.zeros(2)}),
        lambda metadata, arrays: arrays.update(
            {"network.head.linear.bias": np.zeros(6, np.float64)}
        ),
    ],
)
def test_a_whole_file_with_the_wrong_contents_is_no_checkpoint(
    checkpoint: Path, tmp_path: Path, edit: Callable[[dict[str, Any], Any], None]
) -> None:
    with pytest.raises(CheckpointError, match="holds no usable sample"):
        SampleModel.from_checkpoint(edited(checkpoint, tmp_path / "wrong", edit))


def test_an_encoder_that_is_nowhere_is_told(dataset: Dataset, folder: Path) -> None:
    with pytest.raises(NotFoundError, match="download"):
        SampleModel(dataset.taxonomy, sample_config(folder, encoder="no-such-encoder")).build()


def test_listing_models_loads_no_torch() -> None:
    code = (
        "import sys; from ktt_core.registry import list_models; "
        "assert len(list_models('pytorch')) == 5; "
        "import ktt_models.pytorch.config, ktt_models.pytorch.encoders; "
        "assert not {'torch', 'transformers', 'accelerate'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": ":".join(sys.path)}, check=True)
