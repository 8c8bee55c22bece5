"""The contract every model fulfils, whatever its framework."""

from __future__ import annotations

import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ktt_core.atomic import atomic_directory
from ktt_core.batches import Batch, Loader
from ktt_core.checkpoints.record import RunRecord
from ktt_core.class_changes import check_same_classes
from ktt_core.config import ModelConfig
from ktt_core.decoding import leaf_log_proba
from ktt_core.errors import CheckpointError, DataError, UnsupportedError
from ktt_core.former_names import keep_former_name
from ktt_core.metrics import compute_metrics, make_accumulator
from ktt_core.names import check_name
from ktt_core.parity import ParityFigures
from ktt_core.preprocessors import BasePreprocessor
from ktt_core.progress import Progress, ProgressCallback, ignore_progress
from ktt_core.quantization import QuantizationFigures
from ktt_core.taxonomy import Taxonomy

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Batch", "Loader", "Model", "Observer", "check_rows", "check_training_rows"]

#: Figures by their names in `ktt_core.metrics`.
Metrics = dict[str, float]

# Models of other packages may use the first name for one more release.
_FORMER_NAME = ("levels_stand_alone", "scores_comparable_within_level")

#: Sees a batch's level scores and codes as they pass.
Observer = Callable[[Sequence[NDArray[np.floating]], NDArray[np.int32]], None]


def check_rows(model: Model, loader: Loader) -> None:
    """See that the codes of a loader's rows mean a model's classes, if the loader can tell.

    Raises
    ------
    FailedPreconditionError
        If they mean others.
    """
    taxonomy = getattr(loader, "taxonomy", None)
    if isinstance(taxonomy, Taxonomy):
        check_same_classes(model.taxonomy, taxonomy, f"this {model.model_id}")


def check_training_rows(model: Model, train: Loader, val: Loader) -> None:
    """See whether there is something to train a model on.

    Raises
    ------
    DataError
        If there are no training rows, or fewer than two leaves to tell apart.
    FailedPreconditionError
        If the rows' classes are not the model's.
    """
    if train.n_rows == 0:
        raise DataError(
            "the train split has no rows; import the dataset with a larger --train-ratio"
        )
    if model.taxonomy.n_leaves < 2:
        raise DataError(
            "the taxonomy has one class path only: there is nothing to tell apart; "
            "import labels with at least two"
        )
    for loader in (train, val):
        check_rows(model, loader)


class Model(ABC):
    """A hierarchical text classifier: a text in, a path of the taxonomy out.

    A subclass sets `config_class` and `export_formats` and implements the abstract methods.
    ``PyTorchModel`` and ``SklearnModel`` in ``ktt_models`` implement all that is common to their
    frameworks.

    Parameters
    ----------
    taxonomy : Taxonomy
    config : ModelConfig
        An instance of the class's `config_class`.

    Attributes
    ----------
    record : RunRecord
        The run that made the weights; `save` writes it into the checkpoint.
    temperature : float
        Divides path log-probabilities before decoding; fitted on the validation split's likelihood.
    """

    #: Set by the registry.
    model_id: ClassVar[str] = ""
    config_class: ClassVar[type[ModelConfig]] = ModelConfig
    #: Whether the scores of a level's classes can be compared with each other. Not where they are
    #: conditional on the parent: an only child's score is always log 1. The best class of such a
    #: level is the one with the highest probability.
    scores_comparable_within_level: ClassVar[bool] = True
    #: Whether `fit` keeps its last state at `path` while it goes on, and continues from it.
    resumable: ClassVar[bool] = False
    #: The extension of the checkpoint files.
    checkpoint_suffix: ClassVar[str] = ".checkpoint"
    #: The formats `export` can write: "onnx" by `export_onnx`, "bento" by `export_artifacts`.
    export_formats: ClassVar[frozenset[str]] = frozenset()
    #: The ONNX operator set of the graph that `export_onnx` writes; 0 if it writes none.
    onnx_opset: ClassVar[int] = 0
    #: Rows on which an export is compared with its checkpoint, at most.
    onnx_parity_rows: ClassVar[int] = 4096
    #: The bundled model whose service a bundle of this one has, if its own package has none.
    served_like: ClassVar[str] = ""
    #: Whether a bundle of it can run on CUDA.
    serves_on_gpu: ClassVar[bool] = False
    #: The forms ("int8") in which `quantize_onnx` can add a smaller graph to an export.
    quantizations: ClassVar[frozenset[str]] = frozenset()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        keep_former_name(cls, *_FORMER_NAME)

    def __init__(self, taxonomy: Taxonomy, config: ModelConfig) -> None:
        self.taxonomy = taxonomy
        self.config = config
        self.record = RunRecord()
        self.temperature = 1.0

    @property
    def preprocessor(self) -> BasePreprocessor:
        """What turns texts into this model's inputs; a trained model may carry its own."""
        return self.get_preprocessor(self.config)

    # -- construction and data ---------------------------------------------------------------------

    @classmethod
    @abstractmethod
    def from_checkpoint(cls, path: Path) -> Model:
        """Rebuild a trained model from one checkpoint file alone.

        Raises
        ------
        CheckpointError
            If the file is damaged, of another model or unsafe to read.
        """

    @classmethod
    def get_preprocessor(cls, config: ModelConfig) -> BasePreprocessor:
        """Return what turns texts into this model's inputs: by default, the texts as they are."""
        return BasePreprocessor()

    @classmethod
    def get_dataloader_func(cls) -> Callable[..., Loader]:
        """Return ``f(split, preprocessor, config, shuffle=False) -> Loader``.

        By default `ktt_core.loader.load_split`: blocks of rows, in the file's order.
        """
        from ktt_core.loader import load_split

        return load_split

    @classmethod
    def get_metrics_func(cls) -> Callable[..., Metrics]:
        """Return ``f(log_proba, codes, taxonomy) -> Metrics``, which `fit` and `test` measure with.

        By default `ktt_core.metrics.compute_metrics`, which needs no more memory for more rows.
        Another one is called once, with all rows of a split: rows x leaves x 4 bytes.
        """
        return compute_metrics

    # -- training ----------------------------------------------------------------------------------

    @abstractmethod
    def fit(
        self,
        train: Loader,
        val: Loader,
        path: Path | None = None,
        best_path: Path | None = None,
        resume_from: Path | None = None,
        progress: ProgressCallback = ignore_progress,
    ) -> Metrics:
        """Train, and return the validation metrics of the best state.

        Parameters
        ----------
        train, val : Loader
        path : Path, optional
            Where the last, resumable state goes.
        best_path : Path, optional
            Where the best state goes. Without `path` and `best_path` this is a dry run that leaves
            no file; with either, at least one checkpoint is written.
        resume_from : Path, optional
            The `path` of a stopped run to continue.
        progress : callable
            Called with a `Progress` at every step worth showing.
        """

    def test(
        self,
        loader: Loader,
        progress: ProgressCallback = ignore_progress,
        observe: Observer | None = None,
    ) -> Metrics:
        """Return the metrics over a split, read batch by batch.

        Parameters
        ----------
        loader : Loader
        progress : callable
        observe : callable, optional
            Called with each batch's level scores, as `level_scores` returns them, and its codes:
            more can be learned from the one pass than its metrics.

        Raises
        ------
        DataError
            If the split has no rows.
        FailedPreconditionError
            If the split is of other classes.
        """
        check_rows(self, loader)
        accumulator = make_accumulator(self.get_metrics_func(), self.taxonomy)
        done = 0
        for batch in loader:
            levels = self.level_scores(batch.inputs)
            if observe is not None:
                observe(levels, batch.codes)
            log_proba = leaf_log_proba(levels, self.taxonomy, self.temperature)
            accumulator.update(
                log_proba, batch.codes, levels if self.scores_comparable_within_level else None
            )
            done += len(batch.codes)
            progress(Progress("test", done, loader.n_rows, "rows"))
        return accumulator.compute()

    @abstractmethod
    def save(self, path: Path, optim: Mapping[str, Any] | None = None) -> None:
        """Write one self-sufficient checkpoint, atomically."""

    def load(self, path: Path) -> None:
        """Replace this model's weights by those of a checkpoint of the same model and taxonomy.

        Raises
        ------
        CheckpointError
            As `from_checkpoint`, or if it was trained on another taxonomy or, where a model does
            not say otherwise, with other hyperparameters.
        """
        other = self.from_checkpoint(path)
        if other.taxonomy != self.taxonomy or other.config != self.config:
            raise CheckpointError(
                f"{path} was trained on another taxonomy or with other hyperparameters"
            )
        vars(self).update(vars(other))

    # -- answering ---------------------------------------------------------------------------------

    @abstractmethod
    def level_scores(self, inputs: Mapping[str, Any]) -> Sequence[NDArray[np.float32]]:
        """Return the scores g_h that `ktt_core.decoding` turns into path probabilities.

        Parameters
        ----------
        inputs : mapping
            What the preprocessor returned.

        Returns
        -------
        sequence of ndarray of float32
            Either one array per level, shape (rows, n_h), whose sums along a path are its
            log-score; or a single array, shape (rows, n_leaves), of the leaves' own log-scores.
        """

    def warm_up(self, inputs: Mapping[str, Any], n_rows: int) -> None:
        """Do beforehand what is done once when the model answers: imports, compilation, buffers.

        Whoever times answers calls it first.

        Parameters
        ----------
        inputs : mapping
            What the preprocessor returned for a batch like those that follow.
        n_rows : int
            How many rows will follow in all.
        """
        self.level_scores(inputs)

    def scores_and_features(
        self, inputs: Mapping[str, Any]
    ) -> tuple[Sequence[NDArray[np.float32]], NDArray[np.float32] | None]:
        """Return `level_scores`, and beside them the features that monitoring compares.

        An export is compared in both. A model whose monitoring rows have features implements this;
        by default there are none.

        Returns
        -------
        levels : sequence of ndarray of float32
        features : ndarray of float32, shape (rows, k), or None
            As in the reference set.
        """
        return self.level_scores(inputs), None

    def gen_reference_set(self, loader: Loader) -> pa.Table:
        """Return what monitoring compares with: targets, pooled features, leaf probabilities.

        The table is dense, because monitoring reads it so: rows x leaves x 4 bytes, and half as
        much again while it is checked. 10,000 rows and 5,000 leaves take 200 MB.
        """
        from ktt_core.reference import reference_set

        check_rows(self, loader)
        return reference_set(self, loader)

    # -- export ------------------------------------------------------------------------------------

    def export(
        self, dataset_name: str, bento: bool = False, reference_set_path: Path | None = None
    ) -> Path:
        """Write the model in a format that serves without training code, and return the folder.

        That is ``outputs/<model>_<dataset>`` for ONNX and ``build/<model>_<dataset>`` for a bundle,
        in the working directory, written whole or not at all. The exporter service writes the same,
        compares the result with the checkpoint before it publishes it, and adds a manifest.

        Parameters
        ----------
        dataset_name : str
            What the model was trained on.
        bento : bool
            A bundle that serves, instead of an ONNX graph; see `ktt_packing`.
        reference_set_path : Path, optional
            What a bundle's monitoring compares with; without it, it is a service alone.

        Raises
        ------
        UnsupportedError
            If the model does not declare that format.
        ConflictError
            If the folder exists.
        KttError
            If a bundle cannot be packed; see `ktt_packing.client.bundle.pack_bundle`.
        """
        wanted = "bento" if bento else "onnx"
        self._check_format(wanted)
        parent = Path("build" if bento else "outputs")
        folder = parent / f"{self.model_id}_{check_name(dataset_name, 'dataset')}"
        with atomic_directory(folder) as staging:
            if bento:
                self._export_bundle(staging, dataset_name, reference_set_path)
            else:
                self.export_onnx(staging)
        return folder

    def _export_bundle(self, folder: Path, dataset: str, reference_set: Path | None) -> None:
        # Makes bundles on top of this package, which depends on it here alone.
        from ktt_packing.client.bundle import BundleOptions, pack_bundle

        version = datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
        options = BundleOptions(dataset, version, reference_set=reference_set)
        with tempfile.TemporaryDirectory() as artifacts:
            self.export_artifacts(Path(artifacts))
            pack_bundle(self, Path(artifacts), folder, options)

    def export_onnx(self, folder: Path) -> None:
        """Write ``model.onnx``, ``hierarchy.json`` and what turns a text into the graph's inputs.

        A model that declares "onnx" implements this and `onnx_parity`.

        Parameters
        ----------
        folder : Path
            Exists, and is empty.

        Raises
        ------
        UnsupportedError
            If the model is not trained, or cannot be written as a graph.
        """
        self._check_format("onnx")
        raise NotImplementedError(f"{type(self).__name__} declares onnx but has no export_onnx")

    def onnx_parity(self, folder: Path, texts: Iterable[str]) -> ParityFigures:
        """Compare what `export_onnx` wrote with this model, through the folder's own files.

        Parameters
        ----------
        folder : Path
            What `export_onnx` of this model has written.
        texts : iterable of str
            Rows of the dataset; read in blocks.

        Returns
        -------
        ParityFigures
            Its `passed` says whether the export may be published.

        Raises
        ------
        DataError
            If there are no texts, or the folder is of another model.
        """
        self._check_format("onnx")
        raise NotImplementedError(f"{type(self).__name__} declares onnx but has no onnx_parity")

    def quantize_onnx(
        self, folder: Path, scheme: str, rows: Iterable[Batch]
    ) -> QuantizationFigures:
        """Add a quantized graph to what `export_onnx` wrote, and measure both on rows.

        A model that declares `quantizations` implements this.

        Parameters
        ----------
        folder : Path
            What `export_onnx` of this model has written; its graph stays as it is.
        scheme : str
            One of `quantizations`.
        rows : iterable of Batch
            Rows of the dataset, with their texts under ``"text"``.

        Raises
        ------
        UnsupportedError
            If the model does not declare that scheme.
        DataError
            If there are no rows.
        """
        if scheme not in self.quantizations:
            raise UnsupportedError(f"{self.model_id} cannot be quantized to {scheme}")
        raise NotImplementedError(f"{type(self).__name__} declares {scheme} but has no quantizer")

    def export_artifacts(self, folder: Path) -> None:
        """Write what a bundle serves this model from: arrays, JSON and graphs, but no code.

        A model that declares "bento" implements this and `artifacts_parity`. Its ``bentoml``
        package reads the folder where the bundle runs, on another Python: so it holds nothing that
        is read with pickle.

        Parameters
        ----------
        folder : Path
            Exists, and is empty.

        Raises
        ------
        UnsupportedError
            If the model is not trained, or cannot be served.
        """
        self._check_format("bento")
        raise NotImplementedError(
            f"{type(self).__name__} declares bento but has no export_artifacts"
        )

    def artifacts_parity(self, folder: Path, texts: Iterable[str]) -> ParityFigures:
        """Compare what `export_artifacts` wrote, read as a bundle reads it, with this model.

        Parameters, result and errors are those of `onnx_parity`.
        """
        self._check_format("bento")
        raise NotImplementedError(
            f"{type(self).__name__} declares bento but has no artifacts_parity"
        )

    def quantize_artifacts(
        self, folder: Path, scheme: str, rows: Iterable[Batch]
    ) -> QuantizationFigures:
        """Put a quantized graph in the place of the one that `export_artifacts` wrote.

        Both are measured on rows first. A model that declares "bento" and `quantizations`
        implements this and `artifacts_reference_set`. Parameters, result and errors are those of
        `quantize_onnx`.
        """
        if scheme not in self.quantizations:
            raise UnsupportedError(f"{self.model_id} cannot be quantized to {scheme}")
        raise NotImplementedError(f"{type(self).__name__} declares {scheme} but has no quantizer")

    def artifacts_reference_set(self, folder: Path, rows: Iterable[Batch]) -> pa.Table:
        """Return the reference set as what `export_artifacts` wrote answers.

        A quantized graph answers a little differently from the checkpoint, whose own reference set
        would therefore look like drift.

        Parameters
        ----------
        folder : Path
        rows : iterable of Batch
            All rows of the test split, in order, with their texts under ``"text"``.
        """
        raise NotImplementedError(f"{type(self).__name__} has no artifacts_reference_set")

    def _check_format(self, wanted: str) -> None:
        if wanted not in self.export_formats:
            formats = ", ".join(sorted(self.export_formats)) or "no format yet"
            raise UnsupportedError(
                f"{self.model_id} does not export {wanted}; it exports: {formats}"
            )


keep_former_name(Model, *_FORMER_NAME)
