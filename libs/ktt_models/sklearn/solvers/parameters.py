"""scikit-learn's protocol for parameters, without its slow import."""

from __future__ import annotations

import inspect
from typing import Any, TypeVar

from ktt_core.errors import InvalidArgumentError

__all__ = ["Parameters"]

SelfT = TypeVar("SelfT", bound="Parameters")


class Parameters:
    """A classifier whose parameters are its constructor's arguments, kept as attributes."""

    @classmethod
    def _parameter_names(cls) -> list[str]:
        return [name for name in inspect.signature(cls.__init__).parameters if name != "self"]

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the parameters; `deep` has no effect, since none is an estimator."""
        return {name: getattr(self, name) for name in self._parameter_names()}

    def set_params(self: SelfT, **params: Any) -> SelfT:
        """Set parameters.

        Raises
        ------
        InvalidArgumentError
            If there is no such parameter.
        """
        names = self._parameter_names()
        for name, value in params.items():
            if name not in names:
                raise InvalidArgumentError(
                    f"{type(self).__name__} has no parameter {name!r}; there are {', '.join(names)}"
                )
            setattr(self, name, value)
        return self

    def __sklearn_tags__(self) -> Any:
        """Return scikit-learn's tags."""
        from sklearn.utils import ClassifierTags, InputTags, Tags, TargetTags

        return Tags(
            estimator_type="classifier",
            target_tags=TargetTags(required=True, two_d_labels=True, multi_output=True),
            transformer_tags=None,
            classifier_tags=ClassifierTags(),
            regressor_tags=None,
            input_tags=InputTags(sparse=True),
        )

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "weights_")
