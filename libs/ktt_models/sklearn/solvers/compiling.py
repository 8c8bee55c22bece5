"""Compiled once for a kind of processor, wherever the program lies.

numba's own cache goes by the path of the source, so a PEX or another checkout would compile again.
This one goes by what decides the machine code: the solvers' sources, the versions of Python and of
what compiles, and (numba's part) the processor.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.resources
import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import llvmlite
import numba
from numba.core.caching import CompileResultCacheImpl, FunctionCache, _CacheLocator

from ktt_models.sklearn.solvers.compile_notice import tell_compiling

__all__ = ["compiled"]

_LOG = logging.getLogger(__name__)


def compiled(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """Compile a function with numba when it is first called, and keep the machine code.

    It is kept in ``$NUMBA_CACHE_DIR``, or in ``ktt/kernels`` under ``$XDG_CACHE_HOME`` or
    ``~/.cache``. Where nothing can be written what is there is read, and without it each process
    compiles.
    """

    def decorate(function: Callable[..., Any]) -> Any:
        dispatcher = numba.njit(**options)(function)
        # As `enable_caching` of the dispatcher does.
        dispatcher._cache = _KernelCache(function)
        return dispatcher

    return decorate


@functools.cache
def _digest() -> str:
    """Return a digest of the sources and versions that machine code depends on."""
    digest = hashlib.sha256()
    for version in (sys.version, numba.__version__, llvmlite.__version__):
        digest.update(version.encode() + b"\0")
    # One function's code lies in another's too, so all of them count.
    sources = importlib.resources.files(__package__).iterdir()
    for source in sorted(sources, key=lambda source: source.name):
        if source.name.endswith(".py"):
            digest.update(source.name.encode() + b"\0" + source.read_bytes() + b"\0")
    return digest.hexdigest()


@functools.cache
def _folder() -> Path:
    named = os.environ.get("NUMBA_CACHE_DIR")
    if named:
        return Path(named) / f"ktt-{_digest()[:16]}"
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(cache) / "ktt" / "kernels" / _digest()[:16]


class _Locator(_CacheLocator):  # type: ignore[misc]
    """Where the code of a function is kept, and what it depends on."""

    def __init__(self, function: Callable[..., Any], file: str) -> None:
        self._py_file = file
        self._lineno = function.__code__.co_firstlineno

    @classmethod
    def from_function(cls, function: Callable[..., Any], file: str) -> _Locator:
        return cls(function, file)

    def ensure_cache_path(self) -> None:
        # Also where the user's files are the group's to write.
        os.makedirs(self.get_cache_path(), mode=0o700, exist_ok=True)
        super().ensure_cache_path()

    def get_cache_path(self) -> str:
        return str(_folder())

    def get_source_stamp(self) -> str:
        return _digest()

    def get_disambiguator(self) -> str:
        return str(self._lineno)


class _Implementation(CompileResultCacheImpl):  # type: ignore[misc]
    _locator_classes = [_Locator]


class _KernelCache(FunctionCache):  # type: ignore[misc]
    """A cache that may be read-only, full, damaged, or nowhere.

    Reading machine code is running it, so a folder that another user can write to is none.
    """

    _impl_class = _Implementation

    def load_overload(self, signature: Any, target_context: Any) -> Any:
        found = None
        if _is_private(_folder()):
            try:
                found = super().load_overload(signature, target_context)
            except Exception:  # unpickling a damaged file may raise anything
                _LOG.debug("cannot read kept machine code: compiling anew", exc_info=True)
        if found is None:
            tell_compiling()
        return found

    def save_overload(self, signature: Any, result: Any) -> None:
        if not _is_private(_folder()):
            return
        try:
            try:
                super().save_overload(signature, result)
            except OSError:
                raise
            except Exception:  # unpickling a damaged index may raise anything
                _LOG.debug("cannot read the index of kept machine code: new", exc_info=True)
                self.flush()
                super().save_overload(signature, result)
        except OSError:
            _LOG.debug("cannot keep machine code: the next process compiles too", exc_info=True)


def _is_private(folder: Path) -> bool:
    """Whether this user and the system's alone can write to a folder, or none is there yet."""
    try:
        status = folder.stat()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return status.st_uid in (0, os.geteuid()) and not status.st_mode & 0o022
