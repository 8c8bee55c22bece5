"""Base of models on a transformer encoder: everything except the head."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from ktt_core.checkpoints.format import arrays_of, named_for, write_arrays
from ktt_core.config import ModelConfig
from ktt_core.errors import CheckpointError
from ktt_core.model import Batch, Loader, Metrics, Observer, check_rows
from ktt_core.own_preprocessor import restore_preprocessor
from ktt_core.preprocessors import BasePreprocessor, TransformerPreprocessor
from ktt_core.progress import ProgressCallback, ignore_progress
from ktt_core.reference import pool_features
from ktt_core.taxonomy import Taxonomy
from ktt_models.base import Arrays, FrameworkModel
from ktt_models.pytorch.config import EncoderConfig
from ktt_models.pytorch.encoders import encoder_preprocessor, find_encoder, with_tokenizer
from ktt_models.pytorch.encoders.encoder import Encoder
from ktt_models.pytorch.encoders.folder import longest_input, read_config
from ktt_models.pytorch.encoders.tokenizer import check_stored
from ktt_models.pytorch.head import Head
from ktt_models.pytorch.inference import predict_scores
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


class PyTorchModel(FrameworkModel):
    """An encoder model except its head.

    A subclass sets its `config_class` and creates its head. Checkpoints are arrays and JSON, not
    pickles, and are sufficient for predictions and for continuing the training.

    Parameters
    ----------
    taxonomy : Taxonomy
    config : EncoderConfig

    Attributes
    ----------
    mark : callable
        Called with the phases of every training step, for benchmarks: a
        `ktt_models.pytorch.training.timing.StepTimer`.
    """

    config_class: ClassVar[type[ModelConfig]] = EncoderConfig
    resumable: ClassVar[bool] = True
    # Each takes tens of milliseconds, on both sides.
    onnx_parity_rows: ClassVar[int] = 1024
    quantizations: ClassVar[frozenset[str]] = frozenset(["int8"])
    served_like: ClassVar[str] = "db_linear"
    serves_on_gpu: ClassVar[bool] = True
    framework: ClassVar[str] = "pytorch"
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
        self.mark: Mark = ignore_mark
        self._network: EncoderNetwork | None = None

    # -- what a subclass says ----------------------------------------------------------------------

    @abstractmethod
    def make_head(self, width: int) -> Head:
        """Return a new head for features of this width."""

    # -- data --------------------------------------------------------------------------------------

    @classmethod
    def get_preprocessor(cls, config: ModelConfig) -> BasePreprocessor:
        """Return the encoder's own tokenizer.

        An override may return one that changes texts, ``{"text": [...]}``: the encoder's tokenizer
        follows it.

        Raises
        ------
        NotFoundError
            If the encoder cannot be found.
        """
        assert isinstance(config, EncoderConfig)
        return encoder_preprocessor(find_encoder(config.encoder, config.download), config.max_len)

    def _new_preprocessor(self) -> BasePreprocessor:
        return with_tokenizer(super()._new_preprocessor(), self.config)

    @classmethod
    def get_dataloader_func(cls) -> Callable[..., Loader]:
        """Return ``f(split, preprocessor, config, shuffle=False) -> Loader``."""
        from ktt_models.pytorch.input.loader import load_split

        return load_split

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
        """Train, and return the validation metrics of the best epoch, whose weights are kept.

        The best epoch is the one with the highest hierarchical F1 on the validation rows, and of
        equal ones with the lowest validation loss. `path` is written at the end of every epoch and
        every `checkpoint_minutes`, `best_path` at the end. If `progress` raises, `path` is written
        first, and the run can be continued from it: to the same numbers, on the same processor to
        the last bit.

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
        """Create a new network: a trained encoder with an untrained head."""
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
        """Return the metrics over a split, after tokenising its texts."""
        from ktt_models.pytorch.input.loader import OrderedLoader

        check_rows(self, loader)
        if isinstance(loader, OrderedLoader):
            loader.prepare(progress)
        return super().test(loader, progress, observe)

    # -- answering ---------------------------------------------------------------------------------

    @property
    def network(self) -> EncoderNetwork:
        """The network; raises UnsupportedError before training."""
        return self._trained(self._network)

    @property
    def longest_text(self) -> int:
        """Tokens of a text that the encoder can read; 0 if it does not say."""
        if self._network is not None:
            return longest_input(self._network.encoder.config_json["config"])
        return longest_input(read_config(find_encoder(self.config.encoder, self.config.download)))

    def level_scores(self, inputs: Mapping[str, Any]) -> list[NDArray[np.float32]]:
        """Return the head's scores of what the preprocessor returned."""
        return predict_scores(self.network, inputs, self.config)[1]

    def scores_and_features(
        self, inputs: Mapping[str, Any]
    ) -> tuple[list[NDArray[np.float32]], NDArray[np.float32]]:
        """Return `level_scores`, and the encoder's features, averaged by 32."""
        features, levels = predict_scores(self.network, inputs, self.config)
        return levels, pool_features(features)

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
        """Write the folder that `ktt_models.export.artifacts_layout` describes."""
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
        metadata, arrays = self._state(), named_for("network", module_arrays(self.network, False))
        write_arrays(path, metadata, {**arrays, **(optim or {})})

    def snapshot(
        self, state: TrainingState, optimizer: dict[str, NDArray[Any]], copy: bool
    ) -> Snapshot:
        """Return the checkpoint of an unfinished run, from which it can be continued.

        Parameters
        ----------
        state : TrainingState
        optimizer : dict of str to ndarray
        copy : bool
            Whether to copy arrays that further training changes.
        """
        self.temperature = state.temperature
        self.keep_validation(state.metrics)
        self.record.history = list(state.history)
        arrays = named_for("network", module_arrays(self.network, copy))
        arrays |= named_for("optimizer", optimizer)
        # The best weights are stored with the last ones, unless they are the same.
        if state.best is not None and state.best.step != state.step:
            arrays |= named_for("best", state.best.arrays)
        return {**self._state(), "training": state.to_json()}, arrays

    def _state(self) -> dict[str, Any]:
        assert self._preprocessor is not None, "a network has its tokenizer"
        return self._described(
            encoder=self.network.encoder.config_json, preprocessor=self._preprocessor.to_json()
        )

    def _restore_parts(self, metadata: Mapping[str, Any], arrays: Arrays) -> None:
        preprocessor = restore_preprocessor(self, metadata["preprocessor"])
        if not isinstance(preprocessor, TransformerPreprocessor):
            raise CheckpointError("its preprocessor makes no token ids")
        stored = arrays_of("network", arrays)
        sizes = [array.size for array in stored.values()]
        network = self._assemble(Encoder.from_config_json(metadata["encoder"], sizes))
        check_stored(preprocessor, network.encoder.config_json["config"])
        load_arrays(network, stored)
        self._network = network.to(answering_device()).eval()
        self._preprocessor = preprocessor
