"""A cache of compiled code per processor type, independent of the source's location.

numba's own cache depends on the path of the source, so a PEX or another checkout would compile
again. The key of this one is what determines the machine code: the solvers' sources, the versions
of Python and of the compiler, and (by numba) the processor.
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

    It is stored in ``$NUMBA_CACHE_DIR``, or in ``ktt/kernels`` under ``$XDG_CACHE_HOME`` or
    ``~/.cache``. A read-only cache is used; without a cache, each process compiles.
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
    # Functions are inlined into others, so all sources count.
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
    """Location and key of a function's code."""

    def __init__(self, function: Callable[..., Any], file: str) -> None:
        self._py_file = file
        self._lineno = function.__code__.co_firstlineno

    @classmethod
    def from_function(cls, function: Callable[..., Any], file: str) -> _Locator:
        return cls(function, file)

    def ensure_cache_path(self) -> None:
        # Regardless of a umask that allows the group to write.
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

    Loading machine code runs it, so folders that other users can write to are not used.
    """

    _impl_class = _Implementation

    def load_overload(self, signature: Any, target_context: Any) -> Any:
        found = None
        if _is_private(_folder()):
            try:
                found = super().load_overload(signature, target_context)
            except Exception:  # unpickling a damaged file may raise anything
                _LOG.debug("cannot read cached machine code: compiling again", exc_info=True)
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
                _LOG.debug("cannot read the index of cached machine code: new", exc_info=True)
                self.flush()
                super().save_overload(signature, result)
        except OSError:
            _LOG.debug(
                "cannot cache machine code: the next process will compile again", exc_info=True
            )


def _is_private(folder: Path) -> bool:
    """Return whether only this user and root can write to a folder, or it does not exist yet."""
    try:
        status = folder.stat()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return status.st_uid in (0, os.geteuid()) and not status.st_mode & 0o022
