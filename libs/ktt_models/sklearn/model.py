"""What models in scikit-learn's manner share: one solver over tf-idf rows, trained in one go."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ktt_core.checkpoint import read_arrays, write_arrays
from ktt_core.checkpoint_parts import arrays_of, named_for, stored_temperature
from ktt_core.checkpoint_record import RunRecord, installed_versions
from ktt_core.config import ModelConfig, build_config
from ktt_core.errors import CheckpointError, KttError, UnsupportedError
from ktt_core.metrics import METRIC_NAMES, compute_metrics
from ktt_core.model import Loader, Metrics, Model, Observer, check_rows, check_training_rows
from ktt_core.own_preprocessor import check_preprocessor, restore_preprocessor
from ktt_core.preprocessors import BasePreprocessor
from ktt_core.progress import Progress, ProgressCallback, ignore_progress
from ktt_core.taxonomy import Taxonomy
from ktt_core.tfidf.reference_features import reference_features
from ktt_core.tfidf.vectorizer import TfidfVectorizer
from ktt_models.sklearn.config import EstimatorConfig
from ktt_models.sklearn.contract import Arrays, Levels, Scorer, Solver
from ktt_models.sklearn.features import RowCounter, block_rows
from ktt_models.sklearn.stored import StoredSolver
from ktt_models.sklearn.training import measure, train_solver, validate

if TYPE_CHECKING:
    import pyarrow as pa

    from ktt_core.parity import ParityFigures

__all__ = ["SklearnModel"]

# What a whole file with the wrong values in it may raise while a model is made of it.
_NONSENSE = (AttributeError, IndexError, KeyError, OverflowError, TypeError, ValueError)


class SklearnModel(Model):
    """Everything of a tf-idf model but its classifier.

    A subclass names its `config_class` and its classifier: any of scikit-learn's that is linear, by
    `make_estimator`; or a solver of its own, by `make_solver` and `restore_solver`. It trains in
    one go and keeps one checkpoint, "best": arrays and JSON, no pickle.

    Parameters
    ----------
    taxonomy : Taxonomy
    config : EstimatorConfig
    """

    config_class: ClassVar[type[ModelConfig]] = EstimatorConfig
    export_formats: ClassVar[frozenset[str]] = frozenset(["bento", "onnx"])
    served_like: ClassVar[str] = "tfidf_lsgd"
    #: Of the checkpoint files.
    checkpoint_suffix: ClassVar[str] = ".safetensors"
    onnx_opset: ClassVar[int] = 18
    #: The packages whose versions a checkpoint records.
    packages: ClassVar[tuple[str, ...]] = ("numpy", "scipy", "scikit-learn", "numba", "PyStemmer")

    config: EstimatorConfig

    def __init__(self, taxonomy: Taxonomy, config: ModelConfig) -> None:
        super().__init__(taxonomy, config)
        #: The run that made the weights; goes into the checkpoint.
        self.record = RunRecord()
        self._preprocessor: BasePreprocessor | None = None
        self._vectorizer: TfidfVectorizer | None = None
        self._solver: Scorer | None = None

    # -- what a subclass says ----------------------------------------------------------------------

    def make_estimator(self) -> Any:
        """Return a scikit-learn classifier with this model's hyperparameters, not trained yet.

        It is trained on the leaves of the rows, numbered 0, 1, ..., and its scores must be linear
        in the features: see `ktt_models.sklearn.linear_scores`.
        """
        raise UnsupportedError(
            f"{type(self).__name__} has no classifier: write its make_estimator, or its "
            "make_solver and restore_solver"
        )

    def make_solver(self) -> Solver:
        """Return a new solver with this model's hyperparameters: by default `make_estimator`'s.

        Raises
        ------
        UnsupportedError, TrainingError
            If there is none, or a checkpoint cannot hold it.
        """
        from ktt_models.sklearn.estimator import EstimatorSolver

        solver = EstimatorSolver(
            self.model_id, self.taxonomy, self.make_estimator, self.config.max_weights
        )
        solver.check()
        return solver

    def restore_solver(self, arrays: Arrays, params: dict[str, Any]) -> Scorer:
        """Return the trained solver whose `state_dict` was ``(arrays, params)``.

        Raises
        ------
        KttError, KeyError, ValueError
            If they are damaged; the caller names the checkpoint.
        """
        from ktt_models.sklearn.estimator import LinearSolver

        return LinearSolver(self.taxonomy, arrays, params)

    def make_vectorizer(self) -> TfidfVectorizer:
        """Return a new vectorizer with this model's hyperparameters."""
        config = self.config
        return TfidfVectorizer(
            word_ngrams=config.word_ngrams,
            char_ngrams=config.char_ngrams,
            stem=config.stem,
            min_df=config.min_df,
            char_min_df=config.char_min_df,
            max_df=config.max_df,
            max_features=config.max_features,
            sublinear_tf=config.sublinear_tf,
            word_weight=config.word_weight,
        )

    # -- data --------------------------------------------------------------------------------------

    @classmethod
    def get_preprocessor(cls, config: ModelConfig) -> BasePreprocessor:
        """Return one that leaves texts as they are: the vectorizer stems words itself.

        Another one must make ``{"text": [...]}`` too; it is kept in checkpoints and exports.
        """
        return BasePreprocessor()

    @property
    def preprocessor(self) -> BasePreprocessor:
        """What texts go through first: of the checkpoint, if this model is of one."""
        return self._preprocessor or self.get_preprocessor(self.config)

    @classmethod
    def get_dataloader_func(cls) -> Callable[..., Loader]:
        """Return ``f(split, preprocessor, config, shuffle=False) -> Loader``.

        `shuffle` is not needed: the solvers take the rows in a new order at each epoch.
        """
        from ktt_core.loader import SplitLoader

        def load(
            split: Any, preprocessor: BasePreprocessor, config: ModelConfig, shuffle: bool = False
        ) -> Loader:
            return SplitLoader(split, preprocessor, block_rows(split.taxonomy))

        return load

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
        """Train, and return the validation metrics; empty if there are no validation rows.

        The one checkpoint goes to `best_path`, or to `path` if only that is given.

        Raises
        ------
        UnsupportedError
            If asked to resume.
        DataError
            If there are no rows to train on, or fewer than two leaves to tell apart.
        """
        if resume_from is not None:
            raise UnsupportedError(
                f"{self.model_id} trains in one go and keeps nothing to resume; train it again"
            )
        check_training_rows(self, train, val)
        self._vectorizer, self._solver, self.temperature = None, None, 1.0
        self._preprocessor = self.get_preprocessor(self.config)
        check_preprocessor(self._preprocessor, self.model_id)
        self._vectorizer, self._solver, self.record.history = train_solver(self, train, progress)
        metrics: Metrics = {}
        if val.n_rows:
            self.temperature, metrics = validate(self, val, progress)
        self.record.metrics = {"val": metrics} if metrics else {}
        if self.record.history:  # a classifier that trains in one go tells of no epochs
            self.record.history[-1] |= metrics
        metrics = {name: metrics[name] for name in METRIC_NAMES if name in metrics}
        target = best_path or path
        if target is not None:
            progress(Progress("save"))
            self.save(target)
        return metrics

    def test(
        self,
        loader: Loader,
        progress: ProgressCallback = ignore_progress,
        observe: Observer | None = None,
    ) -> Metrics:
        """Return the metrics over a split, read in blocks.

        Raises
        ------
        DataError
            If the split has no rows.
        FailedPreconditionError
            If the split is of other classes.
        """
        check_rows(self, loader)
        pairs = ((self.level_scores(batch.inputs), batch.codes) for batch in loader)
        seen = RowCounter(progress, "test", loader.n_rows)
        return measure(self, pairs, self.temperature, seen, observe)

    # -- answering ---------------------------------------------------------------------------------

    @property
    def vectorizer(self) -> TfidfVectorizer:
        """What turns texts into rows; raises UnsupportedError before training."""
        if self._vectorizer is None:
            raise UnsupportedError(
                f"this {self.model_id} is not trained yet: call fit or load first"
            )
        return self._vectorizer

    @property
    def solver(self) -> Scorer:
        """The trained solver; raises UnsupportedError before training."""
        if self._solver is None:
            raise UnsupportedError(
                f"this {self.model_id} is not trained yet: call fit or load first"
            )
        return self._solver

    def level_scores(self, inputs: Mapping[str, Any]) -> Levels:
        """Return the solver's scores of the preprocessor's texts."""
        return self.solver.level_scores(self.vectorizer.transform(inputs["text"]))

    def scores_and_features(self, inputs: Mapping[str, Any]) -> tuple[Levels, NDArray[np.float32]]:
        """Return `level_scores`, and `ktt_core.tfidf.reference_features` of the texts."""
        texts = inputs["text"]
        rows, unknown = self.vectorizer.transform_counted(texts)
        return self.solver.level_scores(rows), reference_features(rows, texts, unknown)

    def warm_up(self, inputs: Mapping[str, Any], n_rows: int) -> None:
        """Answer a batch, with the solver that so many rows will be answered with."""
        if isinstance(self.solver, StoredSolver):
            self.solver.expect(n_rows)
            self.solver.answer(self.vectorizer.transform(inputs["text"]))
        else:
            self.level_scores(inputs)

    def gen_reference_set(self, loader: Loader) -> pa.Table:
        """Return the table that monitoring compares with; see `ktt_core.reference`.

        The features are 24 seeded random projections of the tf-idf row, the text's length in
        characters and the share of its terms that are unknown.

        The table is dense, because monitoring reads it so: rows x leaves x 4 bytes, and half as
        much again while it is checked. 10,000 rows and 5,000 leaves take 200 MB.
        """
        from ktt_models.sklearn.reference_set import reference_set

        check_rows(self, loader)
        return reference_set(self, loader)

    # -- export ------------------------------------------------------------------------------------

    def export_onnx(self, folder: Path) -> None:
        """Write the folder that `ktt_models.sklearn.onnx.folder` describes."""
        self._check_format("onnx")
        from ktt_models.sklearn.onnx.folder import write_folder

        write_folder(self, folder)

    def onnx_parity(self, folder: Path, texts: Iterable[str]) -> ParityFigures:
        """Compare an exported folder with this model; see `ktt_models.onnx_folder.parity`."""
        self._check_format("onnx")
        from ktt_models.onnx_folder.parity import parity
        from ktt_models.sklearn.onnx.text_package import package_of

        # The graph's memory grows with the weights of all its texts' terms, hence few at a time.
        return parity(self, folder, texts, package_of(self), batches=(8,))

    def export_artifacts(self, folder: Path) -> None:
        """Write the folder that `ktt_models.artifacts` describes."""
        self._check_format("bento")
        from ktt_models.sklearn.artifacts import write_artifacts

        write_artifacts(self, folder)

    def artifacts_parity(self, folder: Path, texts: Iterable[str]) -> ParityFigures:
        """Compare what `export_artifacts` wrote with this model."""
        self._check_format("bento")
        from ktt_models.sklearn.artifacts import parity

        return parity(self, folder, texts)

    # -- checkpoints -------------------------------------------------------------------------------

    def save(self, path: Path, optim: Mapping[str, Any] | None = None) -> None:
        """Write the checkpoint, atomically; there is no optimizer state, so `optim` is not used."""
        vectorizer_arrays, vectorizer_params = self.vectorizer.state_dict()
        solver_arrays, solver_params = self.solver.state_dict()
        self.record.versions = installed_versions(*self.packages)
        metadata = {
            "model": self.model_id,
            "framework": "sklearn",
            "config": self.config.model_dump(mode="json"),
            "temperature": self.temperature,
            "taxonomy": self.taxonomy.to_json(),
            "vectorizer": vectorizer_params,
            "solver": solver_params,
            **self.record.to_json(),
        }
        if type(self.preprocessor) is not BasePreprocessor:
            metadata["preprocessor"] = self.preprocessor.to_json()
        arrays = named_for("vectorizer", vectorizer_arrays) | named_for("solver", solver_arrays)
        write_arrays(path, metadata, arrays)

    @classmethod
    def from_checkpoint(cls, path: Path) -> SklearnModel:
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

    def _restore(self, path: Path, metadata: dict[str, Any], arrays: Arrays) -> None:
        try:
            vectorizer = TfidfVectorizer.from_state(
                arrays_of("vectorizer", arrays), metadata["vectorizer"]
            )
            solver = self.restore_solver(arrays_of("solver", arrays), metadata["solver"])
            # An answer to the empty text shows that terms and weights fit.
            solver.level_scores(vectorizer.transform([""]))
            state = metadata.get("preprocessor")
            preprocessor = None if state is None else restore_preprocessor(self, state)
            temperature = stored_temperature(metadata)
            record = RunRecord.from_json(metadata)
        except KttError as error:
            raise CheckpointError(f"{path} holds no usable {self.model_id}: {error}") from error
        except _NONSENSE as error:
            raise CheckpointError(f"{path} holds no usable {self.model_id}: {error!r}") from error
        self._preprocessor, self._vectorizer, self._solver = preprocessor, vectorizer, solver
        self.temperature, self.record = temperature, record
