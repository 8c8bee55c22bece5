"""The sources a bundle carries, and how they get there."""

from __future__ import annotations

import importlib
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from ktt_core.errors import InvalidArgumentError

__all__ = ["copy_sources", "import_service", "own_root"]

# Of ktt_core; its BUILD file says the same.
_CORE = (
    "__init__.py",
    "errors.py",
    "names.py",
    "taxonomy.py",
    "decoding/**/*.py",
    "preprocessors/**/*.py",
    "tfidf/**/*.py",
)
_SERVING = (
    "*.py",
    "bentoml_patches/*.py",
    *(f"try_page/*.{kind}" for kind in ("html", "css", "js", "svg")),
)


def own_root() -> Path:
    """Return the folder that KTT's packages are imported from."""
    return Path(__file__).resolve().parents[2]


def import_service(module: str, root: Path) -> ModuleType:
    """Import the module of a model's service, and nothing of the packages it is in.

    Those register models and import what trains them, which is not here; the last one, whose
    modules go into the bundle, is a real package.

    Raises
    ------
    InvalidArgumentError
        If it is not there, or does not import.
    """
    file = root.joinpath(*module.split(".")).with_suffix(".py")
    if not file.is_file():
        raise InvalidArgumentError(f"there is no module {module}: {file} does not exist")
    if str(root) not in sys.path:
        sys.path.insert(0, str(root))
    parts = module.split(".")[:-2]
    for depth in range(1, len(parts) + 1):
        name = ".".join(parts[:depth])
        if name not in sys.modules:
            package = ModuleType(name)
            package.__path__ = [str(root.joinpath(*parts[:depth]))]
            sys.modules[name] = package
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise InvalidArgumentError(
            f"{file} does not import where bundles are packed: {error}. It may use what stands "
            "beside it, ktt_serving, the part of ktt_core that bundles carry, and what the packer "
            "is installed with"
        ) from error


def copy_sources(module: str, root: Path, target: Path) -> None:
    """Copy what a service needs to where BentoML finds modules in a bundle.

    Parameters
    ----------
    module : str
        That of the service; the modules beside it come along.
    root : Path
        The folder the packages are in.
    target : Path
    """
    folder = Path(*module.split(".")[:-1])
    for file in _files(root, folder):
        copy = target / file
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(root / file, copy)
    for parent in folder.parents:
        if parent != Path("."):
            # Instead of one that imports what is not here.
            (target / parent / "__init__.py").write_bytes(b"")


def _files(root: Path, folder: Path) -> Iterator[Path]:
    for package, patterns in (
        ("ktt_core", _CORE),
        ("ktt_serving", _SERVING),
        (folder, ["**/*.py"]),
    ):
        for pattern in patterns:
            for path in sorted((root / package).glob(pattern)):
                file = path.relative_to(root)
                if path.is_file() and not _left_out(file):
                    yield file


def _left_out(file: Path) -> bool:
    return (
        file.name.endswith(("_test.py", "_fixtures.py"))
        or file.name in ("conftest.py", "BUILD")
        or "testdata" in file.parts
        or "__pycache__" in file.parts
    )
