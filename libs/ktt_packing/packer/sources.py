"""How the sources that a bundle carries get there."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType

from ktt_core.errors import InvalidArgumentError
from ktt_packing.contents import CARRIED, copy_files

__all__ = ["copy_sources", "import_service", "own_root"]


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
    for package, patterns in {**CARRIED, folder.as_posix(): ("**/*.py",)}.items():
        copy_files(root / package, target / package, patterns)
    for parent in folder.parents:
        if parent != Path("."):
            # Instead of one that imports what is not here.
            (target / parent / "__init__.py").write_bytes(b"")
