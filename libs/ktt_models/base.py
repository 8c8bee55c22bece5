"""The common base of all frameworks' models: checkpoints and validation."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Self, TypeVar

from numpy.typing import NDArray

from ktt_core.checkpoints.format import read_arrays, stored_temperature
from ktt_core.checkpoints.record import RunRecord, installed_versions
from ktt_core.config import ModelConfig, build_config
from ktt_core.errors import CheckpointError, KttError, UnsupportedError
from ktt_core.metrics import UNCALIBRATED, VALIDATION_LOSS
from ktt_core.model import Metrics, Model
from ktt_core.own_preprocessor import check_preprocessor
from ktt_core.preprocessors import BasePreprocessor
from ktt_core.taxonomy import Taxonomy

__all__ = ["Arrays", "FrameworkModel"]

Arrays = dict[str, NDArray[Any]]
PartT = TypeVar("PartT")

# Errors from restoring a model from an intact file with wrong values.
_NONSENSE = (
    AttributeError, IndexError, KeyError, OverflowError, RecursionError, TypeError, ValueError
)  # fmt: skip


class FrameworkModel(Model):
    """A model whose checkpoint is arrays and JSON, no pickle, and carries its own preprocessor.

    A framework's base sets `framework` and `packages`, and implements `save`, with `_described`,
    and `_restore_parts`.
    """

    export_formats: ClassVar[frozenset[str]] = frozenset(["bento", "onnx"])
    onnx_opset: ClassVar[int] = 18
    checkpoint_suffix: ClassVar[str] = ".safetensors"
    #: The framework's name in checkpoints.
    framework: ClassVar[str]
    #: The packages whose versions a checkpoint records.
    packages: ClassVar[tuple[str, ...]]

    def __init__(self, taxonomy: Taxonomy, config: ModelConfig) -> None:
        super().__init__(taxonomy, config)
        self._preprocessor: BasePreprocessor | None = None

    @property
    def preprocessor(self) -> BasePreprocessor:
        """The preprocessor: that of the checkpoint, if this model was loaded from one."""
        return self._preprocessor or self._new_preprocessor()

    def _new_preprocessor(self) -> BasePreprocessor:
        made = self.get_preprocessor(self.config)
        check_preprocessor(made, self.model_id)
        return made

    def _trained(self, part: PartT | None) -> PartT:
        """Return a part that training creates; raises UnsupportedError before that."""
        if part is None:
            raise UnsupportedError(
                f"this {self.model_id} is not trained yet: call fit or load first"
            )
        return part

    def keep_validation(self, metrics: Metrics) -> Metrics:
        """Put validation metrics into the record; return those that `fit` returns."""
        self.record.metrics = {"val": metrics} if metrics else {}
        hidden = (UNCALIBRATED, VALIDATION_LOSS)
        return {name: figure for name, figure in metrics.items() if name not in hidden}

    # -- checkpoints -------------------------------------------------------------------------------

    def _described(self, **parts: Any) -> dict[str, Any]:
        """Return a checkpoint's JSON: common entries, and a framework's `parts`."""
        self.record.versions = installed_versions(*self.packages)
        return {
            "model": self.model_id,
            "framework": self.framework,
            "config": self.config.model_dump(mode="json"),
            "temperature": self.temperature,
            "taxonomy": self.taxonomy.to_json(),
            **parts,
            **self.record.to_json(),
        }

    @classmethod
    def from_checkpoint(cls, path: Path) -> Self:
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

    def _restore(self, path: Path, metadata: Mapping[str, Any], arrays: Arrays) -> None:
        try:
            temperature, record = stored_temperature(metadata), RunRecord.from_json(metadata)
            self._restore_parts(metadata, arrays)
        except KttError as error:
            raise CheckpointError(f"{path} holds no usable {self.model_id}: {error}") from error
        except _NONSENSE as error:
            raise CheckpointError(f"{path} holds no usable {self.model_id}: {error!r}") from error
        self.temperature, self.record = temperature, record

    @abstractmethod
    def _restore_parts(self, metadata: Mapping[str, Any], arrays: Arrays) -> None:
        """Adopt a checkpoint's parts, all or none; errors name its path."""
