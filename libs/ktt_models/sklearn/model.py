"""Base of models in scikit-learn's style: one solver over tf-idf rows, without resumption."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ktt_core.checkpoints.format import arrays_of, named_for, write_arrays
from ktt_core.config import ModelConfig
from ktt_core.errors import UnsupportedError
from ktt_core.model import Loader, Metrics, check_training_rows
from ktt_core.own_preprocessor import restore_preprocessor
from ktt_core.preprocessors import BasePreprocessor
from ktt_core.progress import Progress, ProgressCallback, ignore_progress
from ktt_core.taxonomy import Taxonomy
from ktt_core.tfidf.reference_features import reference_features
from ktt_core.tfidf.vectorizer import TfidfVectorizer
from ktt_models.base import Arrays, FrameworkModel
from ktt_models.sklearn.config import EstimatorConfig
from ktt_models.sklearn.contract import Levels, Scorer, Solver
from ktt_models.sklearn.stored import StoredSolver
from ktt_models.sklearn.training import train_solver, validated

if TYPE_CHECKING:
    from ktt_core.parity import ParityFigures

__all__ = ["SklearnModel"]


class SklearnModel(FrameworkModel):
    """A tf-idf model except its classifier.

    A subclass sets its `config_class` and its classifier: any linear one of scikit-learn, by
    `make_estimator`; or its own solver, by `make_solver` and `restore_solver`. Training cannot be
    resumed and writes one checkpoint, "best": arrays and JSON, no pickle.

    Parameters
    ----------
    taxonomy : Taxonomy
    config : EstimatorConfig
    """

    config_class: ClassVar[type[ModelConfig]] = EstimatorConfig
    served_like: ClassVar[str] = "tfidf_lsgd"
    framework: ClassVar[str] = "sklearn"
    packages: ClassVar[tuple[str, ...]] = ("numpy", "scipy", "scikit-learn", "numba", "PyStemmer")

    config: EstimatorConfig

    def __init__(self, taxonomy: Taxonomy, config: ModelConfig) -> None:
        super().__init__(taxonomy, config)
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
            If there is no classifier, or a checkpoint cannot hold it.
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
            max_chars=config.max_chars,
        )

    # -- data --------------------------------------------------------------------------------------

    @classmethod
    def get_preprocessor(cls, config: ModelConfig) -> BasePreprocessor:
        """Return one that keeps texts unchanged: the vectorizer stems words itself.

        An override must return ``{"text": [...]}``, too; it is stored in checkpoints and exports.
        """
        return BasePreprocessor()

    @classmethod
    def get_dataloader_func(cls) -> Callable[..., Loader]:
        """Return `ktt_models.sklearn.loader.load_split`, which counts what `max_chars` cuts."""
        from ktt_models.sklearn.loader import load_split

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
        """Train, and return the validation metrics; empty if there are no validation rows.

        The checkpoint is written to `best_path`, or to `path` if only that is given.

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
        self._preprocessor = self._new_preprocessor()
        self._vectorizer, self._solver, self.record.history = train_solver(self, train, progress)
        metrics: Metrics = {}
        if val.n_rows:
            self.temperature, metrics = validated(self, val, progress)
        if self.record.history:  # scikit-learn classifiers report no epochs
            self.record.history[-1] |= metrics
        metrics = self.keep_validation(metrics)
        target = best_path or path
        if target is not None:
            progress(Progress("save"))
            self.save(target)
        return metrics

    # -- answering ---------------------------------------------------------------------------------

    @property
    def vectorizer(self) -> TfidfVectorizer:
        """What turns texts into rows; raises UnsupportedError before training."""
        return self._trained(self._vectorizer)

    @property
    def solver(self) -> Scorer:
        """The trained solver; raises UnsupportedError before training."""
        return self._trained(self._solver)

    def level_scores(self, inputs: Mapping[str, Any]) -> Levels:
        """Return the solver's scores of the preprocessor's texts."""
        return self.solver.level_scores(self.vectorizer.transform(inputs["text"]))

    def scores_and_features(self, inputs: Mapping[str, Any]) -> tuple[Levels, NDArray[np.float32]]:
        """Return `level_scores`, and `ktt_core.tfidf.reference_features` of the texts.

        These are 24 seeded random projections of the tf-idf row, the text's length in characters
        and the share of its terms that are unknown.
        """
        texts = inputs["text"]
        rows, unknown = self.vectorizer.transform_counted(texts)
        return self.solver.level_scores(rows), reference_features(rows, texts, unknown)

    def warm_up(self, inputs: Mapping[str, Any], n_rows: int) -> None:
        """Compute scores of a batch, with the solver for `n_rows` rows."""
        if isinstance(self.solver, StoredSolver):
            self.solver.expect(n_rows)
            self.solver.answer(self.vectorizer.transform(inputs["text"]))
        else:
            self.level_scores(inputs)

    # -- export ------------------------------------------------------------------------------------

    def export_onnx(self, folder: Path) -> None:
        """Write the folder that `ktt_models.sklearn.onnx.folder` describes."""
        self._check_format("onnx")
        from ktt_models.sklearn.onnx.folder import write_folder

        write_folder(self, folder)

    def onnx_parity(self, folder: Path, texts: Iterable[str]) -> ParityFigures:
        """Compare an exported folder with this model; see `ktt_models.export.parity`."""
        self._check_format("onnx")
        from ktt_models.export.parity import parity
        from ktt_models.sklearn.onnx.text_package import package_of

        # The graph's memory grows with the weights of all texts' terms, hence small batches.
        return parity(self, folder, texts, package_of(self), batches=(8,))

    def export_artifacts(self, folder: Path) -> None:
        """Write the folder that `ktt_models.export.artifacts_layout` describes."""
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
        metadata = self._described(vectorizer=vectorizer_params, solver=solver_params)
        if type(self.preprocessor) is not BasePreprocessor:
            metadata["preprocessor"] = self.preprocessor.to_json()
        arrays = named_for("vectorizer", vectorizer_arrays) | named_for("solver", solver_arrays)
        write_arrays(path, metadata, arrays)

    def _restore_parts(self, metadata: Mapping[str, Any], arrays: Arrays) -> None:
        vectorizer = TfidfVectorizer.from_state(
            arrays_of("vectorizer", arrays), metadata["vectorizer"]
        )
        solver = self.restore_solver(arrays_of("solver", arrays), metadata["solver"])
        # Scoring the empty text checks that terms and weights match.
        solver.level_scores(vectorizer.transform([""]))
        state = metadata.get("preprocessor")
        self._preprocessor = None if state is None else restore_preprocessor(self, state)
        self._vectorizer, self._solver = vectorizer, solver
