"""What models on a transformer encoder share: everything but the head."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from ktt_core.checkpoint import read_arrays, write_arrays
from ktt_core.checkpoint_parts import arrays_of, named_for, stored_temperature
from ktt_core.checkpoint_record import RunRecord, installed_versions
from ktt_core.config import ModelConfig, build_config
from ktt_core.decoding import leaf_log_proba
from ktt_core.errors import CheckpointError, KttError, UnsupportedError
from ktt_core.metrics import MetricsAccumulator, compute_metrics
from ktt_core.model import Batch, Loader, Metrics, Model, Observer, check_rows
from ktt_core.own_preprocessor import check_preprocessor, restore_preprocessor
from ktt_core.preprocessors import BasePreprocessor, TransformerPreprocessor
from ktt_core.progress import Progress, ProgressCallback, ignore_progress
from ktt_core.reference import pool_features
from ktt_core.taxonomy import Taxonomy
from ktt_models.pytorch.answering import answer
from ktt_models.pytorch.config import EncoderConfig
from ktt_models.pytorch.encoders import encoder_preprocessor, find_encoder, with_tokenizer
from ktt_models.pytorch.encoders.encoder import Encoder
from ktt_models.pytorch.encoders.folder import longest_input, read_config
from ktt_models.pytorch.head import Head
from ktt_models.pytorch.network import EncoderNetwork
from ktt_models.pytorch.stored import load_arrays, module_arrays
from ktt_models.pytorch.training.devices import answering_device
from ktt_models.pytorch.training.timing import Mark, ignore_mark

if TYPE_CHECKING:
    import pyarrow as pa

    from ktt_core.parity import ParityFigures
    from ktt_core.quantization import QuantizationFigures
    from ktt_models.pytorch.training.checkpointer import Snapshot
    from ktt_models.pytorch.training.state import TrainingState

__all__ = ["PyTorchModel"]

# What a whole file with the wrong values in it may raise while a model is made of it.
_NONSENSE = (AttributeError, IndexError, KeyError, OverflowError, TypeError, ValueError)


class PyTorchModel(Model):
    """Everything of an encoder model but its head.

    A subclass names its `config_class` and makes its head. Its checkpoints are arrays and JSON, no
    pickle, and hold all it takes to answer and to go on training.

    Parameters
    ----------
    taxonomy : Taxonomy
    config : EncoderConfig

    Attributes
    ----------
    record : RunRecord
        The run that made the weights; goes into the checkpoint.
    mark : callable
        Told of the phases of every training step, for benchmarks: set it to a
        `ktt_models.pytorch.training.timing.StepTimer`.
    """

    config_class: ClassVar[type[ModelConfig]] = EncoderConfig
    resumable: ClassVar[bool] = True
    export_formats: ClassVar[frozenset[str]] = frozenset(["bento", "onnx"])
    onnx_opset: ClassVar[int] = 18
    # Each takes tens of milliseconds, on both sides.
    onnx_parity_rows: ClassVar[int] = 1024
    quantizations: ClassVar[frozenset[str]] = frozenset(["int8"])
    served_like: ClassVar[str] = "db_linear"
    serves_on_gpu: ClassVar[bool] = True
    #: Of the checkpoint files.
    checkpoint_suffix: ClassVar[str] = ".safetensors"
    #: The packages whose versions a checkpoint records.
    packages: ClassVar[tuple[str, ...]] = (
        "numpy",
        "torch",
        "transformers",
        "tokenizers",
        "accelerate",
    )

    config: EncoderConfig

    def __init__(self, taxonomy: Taxonomy, config: ModelConfig) -> None:
        super().__init__(taxonomy, config)
        self.record = RunRecord()
        self.mark: Mark = ignore_mark
        self._network: EncoderNetwork | None = None
        self._preprocessor: TransformerPreprocessor | None = None

    # -- what a subclass says ----------------------------------------------------------------------

    @abstractmethod
    def make_head(self, width: int) -> Head:
        """Return a new head for features of this width."""

    # -- data --------------------------------------------------------------------------------------

    @classmethod
    def get_preprocessor(cls, config: ModelConfig) -> BasePreprocessor:
        """Return the encoder's own tokenizer.

        Another one may change texts alone, ``{"text": [...]}``: the encoder's tokenizer follows it.

        Raises
        ------
        NotFoundError
            If the encoder cannot be found.
        """
        assert isinstance(config, EncoderConfig)
        return encoder_preprocessor(find_encoder(config.encoder, config.download), config.max_len)

    @property
    def preprocessor(self) -> BasePreprocessor:
        """The tokenizer, and what comes before: of the checkpoint, if this model is of one."""
        return self._preprocessor or self._new_preprocessor()

    def _new_preprocessor(self) -> TransformerPreprocessor:
        made = self.get_preprocessor(self.config)
        check_preprocessor(made, self.model_id)
        return with_tokenizer(made, self.config)

    @classmethod
    def get_dataloader_func(cls) -> Callable[..., Loader]:
        """Return ``f(split, preprocessor, config, shuffle=False) -> Loader``."""
        from ktt_models.pytorch.input.loader import load_split

        return load_split

    @classmethod
    def get_metrics_func(cls) -> Callable[..., Metrics]:
        """Return `ktt_core.metrics.compute_metrics`."""
        return compute_metrics

    # -- training ----------------------------------------------------------------------------------

    def fit(
        self,
        train: Loader,
        val: Loader,
        path: Path | None = None,
        best_path: Path | None = None,
        resume_from: Path | None = None,
        progress: ProgressCallback = ignore_progress,
    ) -> Metrics:
        """Train, and return the validation metrics of the best epoch; it is that epoch's model.

        The best epoch is that of the highest hierarchical F1 on the validation rows; of several
        that of the lowest validation loss.

        `path` is written at the end of every epoch and every `checkpoint_minutes`, `best_path` at
        the end. If `progress` raises, `path` is written first, and the run can be continued from
        it: to the same numbers, on the same processor to the last bit.

        Raises
        ------
        DataError
            If there are no rows to train on, or fewer than two leaves to tell apart.
        CheckpointError
            If `resume_from` is of another run.
        TrainingError
            If training diverges.
        ResourceExhaustedError
            If there is not enough memory; it names the settings to lower.
        """
        from ktt_models.pytorch.training.run import fit

        return fit(self, train, val, path, best_path, resume_from, progress)

    def build(self) -> None:
        """Make a new network: a trained encoder under an untrained head."""
        folder = find_encoder(self.config.encoder, self.config.download)
        self._preprocessor = self._new_preprocessor()
        network = self._assemble(Encoder.from_folder(folder, self.config.pooling))
        self._network = network.to(answering_device())
        self.temperature = 1.0

    def _assemble(self, encoder: Encoder) -> EncoderNetwork:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.config.seed)
            head = self.make_head(encoder.width)
        return EncoderNetwork(encoder, head, self.config.freeze_encoder)

    def test(
        self,
        loader: Loader,
        progress: ProgressCallback = ignore_progress,
        observe: Observer | None = None,
    ) -> Metrics:
        """Return the metrics over a split, read in batches.

        Raises
        ------
        DataError
            If the split has no rows.
        FailedPreconditionError
            If the split is of other classes.
        """
        from ktt_models.pytorch.input.loader import OrderedLoader

        check_rows(self, loader)
        if isinstance(loader, OrderedLoader):
            loader.prepare(progress)
        accumulator = MetricsAccumulator(self.taxonomy)
        done = 0
        for batch in loader:
            levels = self.level_scores(batch.inputs)
            if observe is not None:
                observe(levels, batch.codes)
            log_proba = leaf_log_proba(levels, self.taxonomy, self.temperature)
            accumulator.update(log_proba, batch.codes, levels if self.levels_stand_alone else None)
            done += len(batch.codes)
            progress(Progress("test", done, loader.n_rows, "rows"))
        return accumulator.compute()

    # -- answering ---------------------------------------------------------------------------------

    @property
    def network(self) -> EncoderNetwork:
        """The network; raises UnsupportedError before training."""
        if self._network is None:
            raise UnsupportedError(
                f"this {self.model_id} is not trained yet: call fit or load first"
            )
        return self._network

    @property
    def longest_text(self) -> int:
        """Tokens of a text that the encoder can read; 0 if it does not say."""
        if self._network is not None:
            return longest_input(self._network.encoder.config_json["config"])
        return longest_input(read_config(find_encoder(self.config.encoder, self.config.download)))

    def level_scores(self, inputs: Mapping[str, Any]) -> list[NDArray[np.float32]]:
        """Return the head's scores of what the preprocessor returned."""
        return answer(self.network, inputs, self.config)[1]

    def scores_and_features(
        self, inputs: Mapping[str, Any]
    ) -> tuple[list[NDArray[np.float32]], NDArray[np.float32]]:
        """Return `level_scores`, and the encoder's features, averaged by 32."""
        features, levels = answer(self.network, inputs, self.config)
        return levels, pool_features(features)

    def gen_reference_set(self, loader: Loader) -> pa.Table:
        """Return the table that monitoring compares with; see `ktt_core.reference`.

        It is dense, because monitoring reads it so: rows x leaves x 4 bytes, and half as much again
        while it is checked.
        """
        from ktt_models.pytorch.reference_set import reference_set

        check_rows(self, loader)
        return reference_set(self, loader)

    # -- export ------------------------------------------------------------------------------------

    def export_onnx(self, folder: Path) -> None:
        """Write the folder that `ktt_models.pytorch.onnx.folder` describes."""
        self._check_format("onnx")
        from ktt_models.pytorch.onnx.folder import write_folder

        write_folder(self, folder)

    def onnx_parity(self, folder: Path, texts: Iterable[str]) -> ParityFigures:
        """Compare an exported folder with this model; see `ktt_models.pytorch.onnx.checking`."""
        self._check_format("onnx")
        from ktt_models.pytorch.onnx.checking import parity

        return parity(self, folder, texts)

    def quantize_onnx(
        self, folder: Path, scheme: str, rows: Iterable[Batch]
    ) -> QuantizationFigures:
        """Add a graph of 8-bit integers; see `ktt_models.pytorch.onnx.quantizing`."""
        if scheme not in self.quantizations:
            return super().quantize_onnx(folder, scheme, rows)
        from ktt_models.pytorch.onnx.quantizing import add_quantized

        return add_quantized(self, folder, rows)

    def export_artifacts(self, folder: Path) -> None:
        """Write the folder that `ktt_models.artifacts` describes."""
        self._check_format("bento")
        from ktt_models.pytorch.artifacts import write_artifacts

        write_artifacts(self, folder)

    def artifacts_parity(self, folder: Path, texts: Iterable[str]) -> ParityFigures:
        """Compare what `export_artifacts` wrote with this model."""
        self._check_format("bento")
        from ktt_models.pytorch.artifacts import parity

        return parity(self, folder, texts)

    def quantize_artifacts(
        self, folder: Path, scheme: str, rows: Iterable[Batch]
    ) -> QuantizationFigures:
        """Serve a graph of 8-bit integers; see `ktt_models.pytorch.artifacts`."""
        if scheme not in self.quantizations:
            return super().quantize_artifacts(folder, scheme, rows)
        from ktt_models.pytorch.artifacts import quantize_artifacts

        return quantize_artifacts(self, folder, rows)

    def artifacts_reference_set(self, folder: Path, rows: Iterable[Batch]) -> pa.Table:
        """Return the reference set as what `export_artifacts` wrote answers, text by text."""
        from ktt_models.pytorch.artifacts import reference_set

        return reference_set(self, folder, rows)

    # -- checkpoints -------------------------------------------------------------------------------

    def save(self, path: Path, optim: Mapping[str, Any] | None = None) -> None:
        """Write the checkpoint, atomically.

        Parameters
        ----------
        path : Path
        optim : mapping of str to ndarray, optional
            Further arrays, by the names that the checkpoint shall have for them.
        """
        metadata, arrays = self._described(), named_for(
            "network", module_arrays(self.network, False)
        )
        write_arrays(path, metadata, {**arrays, **(optim or {})})

    def snapshot(
        self, state: TrainingState, optimizer: dict[str, NDArray[Any]], copy: bool
    ) -> Snapshot:
        """Return the checkpoint of a run that goes on: all it takes to continue it.

        Parameters
        ----------
        state : TrainingState
        optimizer : dict of str to ndarray
        copy : bool
            Whether the arrays must stay as they are when training goes on.
        """
        self.temperature = state.temperature
        self.record.metrics = {"val": state.metrics} if state.metrics else {}
        self.record.history = list(state.history)
        arrays = named_for("network", module_arrays(self.network, copy))
        arrays |= named_for("optimizer", optimizer)
        # The best weights travel with the last ones, unless they are the same.
        if state.best is not None and state.best.step != state.step:
            arrays |= named_for("best", state.best.arrays)
        return {**self._described(), "training": state.to_json()}, arrays

    def _described(self) -> dict[str, Any]:
        assert self._preprocessor is not None, "a network has its tokenizer"
        self.record.versions = installed_versions(*self.packages)
        return {
            "model": self.model_id,
            "framework": "pytorch",
            "config": self.config.model_dump(mode="json"),
            "temperature": self.temperature,
            "taxonomy": self.taxonomy.to_json(),
            "encoder": self.network.encoder.config_json,
            "preprocessor": self._preprocessor.to_json(),
            **self.record.to_json(),
        }

    @classmethod
    def from_checkpoint(cls, path: Path) -> PyTorchModel:
        """Rebuild a trained model from one checkpoint file alone."""
        metadata, arrays = read_arrays(path, cls.model_id)
        try:
            taxonomy = Taxonomy.from_json(metadata["taxonomy"])
            model = cls(taxonomy, build_config(cls.config_class, cls.model_id, metadata["config"]))
        except (KttError, *_NONSENSE) as error:
            raise CheckpointError(f"{path} holds no usable {cls.model_id}: {error}") from error
        model._restore(path, metadata, arrays)
        return model

    def load(self, path: Path) -> None:
        """Replace this model's weights by those of a checkpoint of the same model and taxonomy."""
        metadata, arrays = read_arrays(path, self.model_id)
        try:
            same = Taxonomy.from_json(metadata["taxonomy"]) == self.taxonomy
        except (KttError, *_NONSENSE) as error:
            raise CheckpointError(f"{path} holds no usable taxonomy: {error}") from error
        if not same:
            raise CheckpointError(f"{path} was trained on another taxonomy than this model's")
        self._restore(path, metadata, arrays)

    def _restore(
        self, path: Path, metadata: dict[str, Any], arrays: dict[str, NDArray[Any]]
    ) -> None:
        try:
            preprocessor = restore_preprocessor(self, metadata["preprocessor"])
            if not isinstance(preprocessor, TransformerPreprocessor):
                raise CheckpointError("its preprocessor makes no token ids")
            network = self._assemble(Encoder.from_config_json(metadata["encoder"]))
            load_arrays(network, arrays_of("network", arrays))
            temperature = stored_temperature(metadata)
            record = RunRecord.from_json(metadata)
        except KttError as error:
            raise CheckpointError(f"{path} holds no usable {self.model_id}: {error}") from error
        except _NONSENSE as error:
            raise CheckpointError(f"{path} holds no usable {self.model_id}: {error!r}") from error
        self._network = network.to(answering_device()).eval()
        self._preprocessor = preprocessor
        self.temperature, self.record = temperature, record
