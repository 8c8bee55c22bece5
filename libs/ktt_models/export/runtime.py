"""Running of an exported folder's own code and graph."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import count
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as ort

from ktt_core.errors import DataError
from ktt_models.export.package import PACKAGE

__all__ = ["ORT_ERRORS", "Answers", "LogProba", "open_session", "load_text_rows", "usable_cores"]

#: Maps texts to the graph's inputs.
TextRows = Callable[[Sequence[str]], dict[str, Any]]
#: Log-probabilities of the leaves, shape (texts, leaves).
LogProba = NDArray[np.float32]


class Answers(NamedTuple):
    """Answers to n texts: the columns of their monitoring rows.

    Attributes
    ----------
    log_proba : ndarray of float32, shape (n, leaves)
    features : ndarray of float32, shape (n, k), or None
        Pooled; fewer than in the reference set if a graph computes only some of them.
    """

    log_proba: LogProba
    features: NDArray[np.float32] | None


#: Errors of onnxruntime, which have no common base class.
ORT_ERRORS = (
    ort.EPFail,
    ort.Fail,
    ort.InvalidArgument,
    ort.InvalidGraph,
    ort.InvalidProtobuf,
    ort.NoSuchFile,
    ort.NotImplemented,
    ort.RuntimeException,
)

_import_numbers = count()


@contextlib.contextmanager
def load_text_rows(folder: Path, package: Mapping[str, bytes]) -> Iterator[TextRows]:
    """Give what turns texts into inputs, made by the folder's own code from its own data.

    The code is run only if it is, byte for byte, what an export writes. No files are left in the
    folder, which is about to be published.

    Parameters
    ----------
    folder : Path
        An absolute path.
    package : mapping of str to bytes
        What the folder's package must hold, by the paths in it.

    Raises
    ------
    DataError
        If files are missing, damaged or from another version. Errors of the folder's code and of
        onnxruntime within the body are converted, too.
    """
    _check_package(folder / PACKAGE, package)
    with _imported(folder / PACKAGE) as module:
        errors = importlib.import_module(f"{module.__name__}.errors")
        try:
            yield module.TextRows(folder)
        except (errors.KttError, *ORT_ERRORS) as error:
            raise DataError(f"the export in {folder} does not work: {error}") from error


def open_session(graph: Path, threads: int) -> onnxruntime.InferenceSession:
    """Open a graph on the CPU; raises what onnxruntime raises."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    # Idle threads must not spin: other processes use this machine, too.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])


def usable_cores() -> int:
    """Return the number of cores that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on every system
        return os.cpu_count() or 1


def _check_package(package: Path, wanted: Mapping[str, bytes]) -> None:
    """Check that the package is exactly what an export writes."""
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


@contextlib.contextmanager
def _imported(package: Path) -> Iterator[ModuleType]:
    """Import a folder as a package with a unique name, and unload it afterwards."""
    name = f"_ktt_export_{next(_import_numbers)}"
    spec = importlib.util.spec_from_file_location(
        name, package / "__init__.py", submodule_search_locations=[str(package)]
    )
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    importlib.invalidate_caches()
    # No compiled copies are left in the folder.
    writes_none, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
        yield module
    finally:
        sys.dont_write_bytecode = writes_none
        for known in [key for key in sys.modules if key == name or key.startswith(f"{name}.")]:
            del sys.modules[known]
