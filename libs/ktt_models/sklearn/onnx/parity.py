"""The check of an exported folder: its own code and graph against the model it was made of."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import json
import sys
from collections.abc import Iterable, Iterator
from itertools import count, islice
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

from ktt_core.decoding import leaf_log_proba
from ktt_core.errors import DataError
from ktt_core.parity import ParityCounter, ParityFigures
from ktt_core.preprocessors.cleaning import clean_texts
from ktt_models.sklearn.onnx.folder import GRAPH_NAME, HIERARCHY_NAME
from ktt_models.sklearn.onnx.text_package import PACKAGE, package_files

if TYPE_CHECKING:
    from ktt_models.sklearn.model import SklearnModel

__all__ = ["parity"]

# Texts answered at once: the graph's memory grows with their terms' weights.
_BLOCK_ROWS = 8

# They have no base of their own.
_ORT_ERRORS = (
    ort_errors.EPFail,
    ort_errors.Fail,
    ort_errors.InvalidArgument,
    ort_errors.InvalidGraph,
    ort_errors.InvalidProtobuf,
    ort_errors.NoSuchFile,
    ort_errors.NotImplemented,
    ort_errors.RuntimeException,
)

_import_numbers = count()


def parity(model: SklearnModel, folder: Path, texts: Iterable[str]) -> ParityFigures:
    """Answer texts with the model and with an exported folder, and compare.

    The folder's part is done by its own files alone: its package makes the inputs, its graph
    answers, and its ``hierarchy.json`` names the leaves. The package is run only if it is, byte for
    byte, what an export writes.

    Parameters
    ----------
    model : SklearnModel
    folder : Path
        What `ktt_models.sklearn.onnx.folder.write_folder` has written.
    texts : iterable of str
        As a user gives them: both sides tidy them up. Read in blocks.

    Returns
    -------
    ParityFigures

    Raises
    ------
    DataError
        If there are no texts, or files of the folder are missing, damaged or of another model.
    InvalidArgumentError
        If a text is no valid Unicode string.
    """
    folder = Path(folder).resolve()
    _check_package(folder / PACKAGE, model.vectorizer.stem)
    _check_paths(folder / HIERARCHY_NAME, model)
    preprocess = model.preprocessor
    counter, read = ParityCounter(), 0
    iterator = iter(texts)
    with _imported(folder / PACKAGE) as package, _as_data_errors(folder, package):
        options = onnxruntime.SessionOptions()
        # The operators are small, and idle threads of onnxruntime spin.
        options.intra_op_num_threads = 1
        session = onnxruntime.InferenceSession(
            str(folder / GRAPH_NAME), options, providers=["CPUExecutionProvider"]
        )
        text_rows = package.TextRows(folder)
        while block := list(islice(iterator, _BLOCK_ROWS)):
            levels = model.level_scores(preprocess(clean_texts(block, read)))
            expected = leaf_log_proba(levels, model.taxonomy, model.temperature)
            counter.add(expected, session.run(["log_proba"], text_rows(block))[0])
            read += len(block)
    return counter.figures()


def _check_package(package: Path, language: str | None) -> None:
    """Refuse to run anything that `package_files` has not written."""
    wanted = package_files(language)
    found = {
        path.relative_to(package).as_posix()
        for path in package.rglob("*")
        if not path.is_dir() or path.is_symlink()
    }
    for name in sorted(found | set(wanted)):
        if name not in found:
            raise DataError(f"{package / name} is missing: the export is not whole")
        if name not in wanted or (package / name).read_bytes() != wanted[name]:
            raise DataError(
                f"{package / name} is not what this version of KTT writes, so it is not run; "
                "export again"
            )


def _check_paths(path: Path, model: SklearnModel) -> None:
    try:
        paths = json.loads(path.read_text(encoding="utf-8"))["leaf_paths"]
    except (KeyError, OSError, TypeError, ValueError) as error:
        raise DataError(f"{path} cannot be read: {error}") from error
    if paths != [list(leaf) for leaf in model.taxonomy.leaf_paths]:
        raise DataError(f"{path} has other classes than the model")


@contextlib.contextmanager
def _imported(package: Path) -> Iterator[ModuleType]:
    """Import a folder as a package of a name of its own, and forget it afterwards.

    No compiled copies are left in the folder, which is about to be published.
    """
    name = f"_ktt_export_{next(_import_numbers)}"
    spec = importlib.util.spec_from_file_location(
        name, package / "__init__.py", submodule_search_locations=[str(package)]
    )
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    importlib.invalidate_caches()
    writes_none, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
        yield module
    finally:
        sys.dont_write_bytecode = writes_none
        for known in [key for key in sys.modules if key == name or key.startswith(f"{name}.")]:
            del sys.modules[known]


@contextlib.contextmanager
def _as_data_errors(folder: Path, package: ModuleType) -> Iterator[None]:
    """Name the folder in what its own package and its graph raise."""
    errors = importlib.import_module(f"{package.__name__}.errors")
    try:
        yield
    except (errors.KttError, *_ORT_ERRORS) as error:
        raise DataError(f"the export in {folder} does not work: {error}") from error
