"""A model's own preprocessor: whether it can be used, kept and handed on with an export."""

from __future__ import annotations

import ast
import inspect
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ktt_core.errors import InvalidArgumentError, KttError, UnsupportedError
from ktt_core.preprocessors import (
    BasePreprocessor,
    TransformerPreprocessor,
    preprocessor_from_json,
)
from ktt_core.preprocessors.base import known_kind

if TYPE_CHECKING:
    from ktt_core.model import Model

__all__ = [
    "check_preprocessor",
    "module_source",
    "portable_source",
    "restore_preprocessor",
    "text_preprocessor",
]

# Texts of several kinds: what is made of one must not follow from what else is asked with it.
_SAMPLE = ("A first text, with 2 numbers: 10 and 7.", "", "ein ZWEITER, übrigens", "a first text")
# A checkpoint's header ends at 100 MB, and holds the state with every quote escaped.
_MAX_STATE_SIZE = 32_000_000
# The conditions under which a type checker alone imports.
_FOR_TYPES = ("TYPE_CHECKING", "typing.TYPE_CHECKING")
# What exported code may import: it runs where there is little else.
_PORTABLE = ("numpy", "ktt_core.errors", "ktt_core.preprocessors")


def text_preprocessor(preprocessor: BasePreprocessor) -> BasePreprocessor:
    """Return what changes texts: of a tokenizer, what stands before it."""
    if isinstance(preprocessor, TransformerPreprocessor):
        return preprocessor.before or BasePreprocessor()
    return preprocessor


def check_preprocessor(preprocessor: BasePreprocessor, model_id: str) -> None:
    """See whether a model can be trained with what its `get_preprocessor` returned.

    Parameters
    ----------
    preprocessor : BasePreprocessor
        For a model on an encoder its tokenizer, with what stands before it.
    model_id : str

    Raises
    ------
    UnsupportedError
        If its state cannot be kept, or it does not make one text of every text, each by itself.
    """
    if isinstance(preprocessor, TransformerPreprocessor) and preprocessor.before is not None:
        check_preprocessor(preprocessor.before, model_id)
    name = type(preprocessor).__name__
    says = f"{model_id} cannot be used with its preprocessor {name}: "
    if not isinstance(preprocessor, BasePreprocessor):
        raise UnsupportedError(
            f"{model_id}: get_preprocessor returned {preprocessor!r:.80}, which is no "
            "ktt_core.preprocessors.BasePreprocessor"
        )
    if _is_ours(preprocessor):
        return
    if known_kind(preprocessor.kind) is not type(preprocessor):
        raise UnsupportedError(
            f"{says}it has the kind {preprocessor.kind!r} of another class, so a checkpoint could "
            f'not name it; give it one of its own, kind = "..." in the class {name}'
        )
    try:
        state = _kept_state(preprocessor)
    except Exception as error:  # it is anybody's code
        raise UnsupportedError(
            f"{says}its state cannot be kept: {_said(error)}. _fields returns the arguments of its "
            "constructor, as JSON values"
        ) from error
    if isinstance(preprocessor, TransformerPreprocessor):
        return
    try:
        together = _texts(preprocessor, _SAMPLE)
        alone = [text for sample in _SAMPLE for text in _texts(preprocessor, [sample])]
        state_now = json.dumps(preprocessor.to_json())
    except Exception as error:  # as above
        raise UnsupportedError(f"{says}{_said(error)}") from error
    if together != alone:
        raise UnsupportedError(
            f"{says}what it makes of a text changes with the texts beside it, or from time to "
            "time; batches of training and of serving are not the same, so its answers would not "
            "be either"
        )
    if state_now != state:
        raise UnsupportedError(
            f"{says}its state changes with the texts that it is given; what it makes of a text "
            "must follow from its constructor's arguments alone"
        )


def _is_ours(preprocessor: BasePreprocessor) -> bool:
    return type(preprocessor).__module__.startswith("ktt_core.")


def _kept_state(preprocessor: BasePreprocessor) -> str:
    """Return the state as JSON, once it is known that a checkpoint can hold it."""
    state = preprocessor.to_json()
    text = json.dumps(state, allow_nan=False)
    if not isinstance(preprocessor, TransformerPreprocessor) and len(text) > _MAX_STATE_SIZE:
        raise UnsupportedError(
            f"it takes {len(text):,} characters, and a checkpoint holds {_MAX_STATE_SIZE:,} of it"
        )
    if preprocessor_from_json(json.loads(text)).to_json() != state:
        raise UnsupportedError("what is rebuilt of it has another one")
    return text


def _texts(preprocessor: BasePreprocessor, texts: Sequence[str]) -> list[str]:
    made: Any = preprocessor(texts)
    found = made.get("text") if hasattr(made, "get") else None
    if not isinstance(found, list) or not all(isinstance(text, str) for text in found):
        raise InvalidArgumentError(
            f'it must return {{"text": [...]}}, a list of str, not {made!r:.80}'
        )
    if len(found) != len(texts):
        raise InvalidArgumentError(f"it made {len(found)} texts of {len(texts)}")
    return found


def restore_preprocessor(model: Model, state: Any) -> BasePreprocessor:
    """Return the preprocessor of a checkpoint's model.

    Raises
    ------
    InvalidArgumentError
        If its state is damaged, or its kind is not known.
    """
    for kind in _kinds_in(state):
        if known_kind(kind) is None:
            # A model may import its preprocessor when it is asked for one.
            model.get_preprocessor(model.config)
            break
    return preprocessor_from_json(state)


def _kinds_in(state: Any) -> Iterator[str]:
    while isinstance(state, dict):
        if isinstance(kind := state.get("kind"), str):
            yield kind
        state = state.get("before")


def module_source(preprocessor: BasePreprocessor) -> str:
    """Return the source of the module that a preprocessor's class is in; empty if there is none."""
    try:
        return Path(inspect.getfile(type(preprocessor))).read_text(encoding="utf-8")
    except (OSError, TypeError, ValueError):
        return ""


def portable_source(preprocessor: BasePreprocessor, model_id: str) -> str | None:
    """Return the module that must go with an export for its texts to be prepared.

    Parameters
    ----------
    preprocessor : BasePreprocessor
        The model's.
    model_id : str

    Returns
    -------
    str or None
        None if no code of the model's own is needed.

    Raises
    ------
    UnsupportedError
        If that module cannot go along, because it needs what an export does not have.
    """
    if isinstance(preprocessor, TransformerPreprocessor):
        if type(preprocessor) is not TransformerPreprocessor:
            raise UnsupportedError(
                f"{model_id} is not exported with a tokenizer of its own kind, "
                f"{type(preprocessor).__name__}: only what changes texts before they are cut into "
                "tokens goes along. Let get_preprocessor return a BasePreprocessor that does that"
            )
        preprocessor = text_preprocessor(preprocessor)
    if _is_ours(preprocessor):
        return None
    name, module = type(preprocessor).__name__, type(preprocessor).__module__
    says = f"{model_id} is not exported: its preprocessor {name} cannot go along, because "
    source = module_source(preprocessor)
    if not source or type(preprocessor).__qualname__ != name:
        raise UnsupportedError(f"{says}it is not a class of a module whose source can be read")
    try:
        # The oldest Python that reads an export.
        tree = ast.parse(source, feature_version=(3, 10))
    except SyntaxError as error:
        raise UnsupportedError(f"{says}Python 3.11 cannot read its module: {error}") from error
    foreign = sorted({name for name in _imports(tree) if not _is_portable(name)})
    if foreign:
        raise UnsupportedError(
            f"{says}its module {module} imports {', '.join(foreign)}, and an export has the "
            "standard library, numpy and ktt_core.preprocessors alone. Put the class into a module "
            "of its own that imports no more than those"
        )
    return source


def _imports(tree: ast.AST) -> Iterator[str]:
    """Yield what a module imports, but for its type checker alone."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) in _FOR_TYPES:
            for other in node.orelse:
                yield from _imports(ast.Module([other], []))
        elif isinstance(node, ast.Import):
            # Of ktt_core an export has the modules, but not the package.
            for alias in node.names:
                ours = alias.name.partition(".")[0] == "ktt_core"
                yield f"{alias.name} (write: from {alias.name} import ...)" if ours else alias.name
        elif isinstance(node, ast.ImportFrom):
            yield "." * node.level + (node.module or "")
        else:
            yield from _imports(node)


def _is_portable(name: str) -> bool:
    root = name.partition(".")[0]
    if root in sys.stdlib_module_names:
        return True
    return any(name == allowed or name.startswith(f"{allowed}.") for allowed in _PORTABLE)


def _said(error: Exception) -> str:
    return str(error) if isinstance(error, KttError) else f"{type(error).__name__}: {error}"
