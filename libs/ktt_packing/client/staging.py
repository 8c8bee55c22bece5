"""Staging: copies the sources of bundles to a folder for the packer.

They run on another Python than this one, which therefore does not import them, but finds them as
files beside its own modules.
"""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
from collections.abc import Iterable
from pathlib import Path

from ktt_core.errors import UnsupportedError
from ktt_core.registry import get_entry

__all__ = [
    "MONITORING",
    "SERVICE_MODULE",
    "SERVING",
    "find_package",
    "find_service",
    "stage_sources",
]

#: The code shared by all bundles' services, and the monitoring service.
SERVING, MONITORING = "ktt_serving", "monitoring"
#: The service's module within the package of a model.
SERVICE_MODULE = "bentoml.svc_lts"

_BUNDLED = "ktt_models"

# The part of ktt_core in bundles; its BUILD file has the same list.
_CORE = (
    "__init__.py",
    "errors.py",
    "names.py",
    "taxonomy.py",
    "decoding",
    "preprocessors",
    "tfidf",
)
# Of this package, the end of the packer.
_PACKING = ("__init__.py", "request.py", "packer")
_IGNORED = shutil.ignore_patterns(
    "__pycache__", "*.pyc", "BUILD", "conftest.py", "*_test.py", "testdata", ".*_cache"
)
_PARENT = '"""In a bundle, a package for what stands in it."""\n'


def find_package(name: str) -> list[Path]:
    """Return the folders of a package without importing it; empty if it is missing."""
    spec = importlib.util.find_spec(name)
    if spec is None or spec.submodule_search_locations is None:
        return []
    return [Path(place) for place in spec.submodule_search_locations if Path(place).is_dir()]


def find_service(model_id: str, package: str, like: str = "") -> Path:
    """Return the folder of a model's service: ``bentoml`` in the package that registers it.

    Parameters
    ----------
    model_id : str
    package : str
        The package that registers the model.
    like : str
        A model of `ktt_models` whose service is used if the package has none.

    Raises
    ------
    UnsupportedError
        If there is no service.
    """
    for name in [package, *([f"{_BUNDLED}.{like}"] if like else [])]:
        for folder in find_package(name):
            if (folder / "bentoml" / "svc_lts.py").is_file():
                return folder / "bentoml"
    raise UnsupportedError(
        f"{model_id} cannot be served by BentoML: there is no bentoml/svc_lts.py in the package "
        f"{package}, where its service would be"
    )


def stage_sources(target: Path, model_id: str, package: str, like: str = "") -> None:
    """Copy all sources that a bundle of a model may need into a folder to import from.

    Parameters
    ----------
    target : Path
        A new folder.
    model_id : str
    package : str
        The package that registers the model, of which only ``bentoml`` is copied.
    like : str
        See `find_service`. A service of another model gets this model's names.

    Raises
    ------
    UnsupportedError
        If the model has no service, or this installation lacks the sources.
    """
    service = find_service(model_id, package, like)
    for name in _CORE:
        _copy(name, _required_package("ktt_core"), target / "ktt_core")
    for name in _PACKING:
        _copy(name, _required_package("ktt_packing"), target / "ktt_packing")
    _copy_all(_required_package(SERVING), target / SERVING)
    for folder in _required_package(MONITORING):
        _copy_monitoring(folder, target / MONITORING)
    above = target
    for part in package.split("."):
        above /= part
        above.mkdir(exist_ok=True)
        (above / "__init__.py").write_text(_PARENT, encoding="utf-8")
    shutil.copytree(service, above / "bentoml", ignore=_IGNORED)
    if service.parent not in find_package(package):
        _rename_service(above / "bentoml", like, model_id)


def _rename_service(folder: Path, like: str, model_id: str) -> None:
    """Replace the names of the model whose service is used by those of this model."""
    other, own = get_entry(like), get_entry(model_id)
    code = (folder / "svc_lts.py").read_text(encoding="utf-8")
    (old_class,) = re.findall(r"^class (\w+)\(", code, re.M)
    new_class = re.sub(r"(?:^|[_-]+)(\w)", lambda found: found[1].upper(), f"{model_id}_service")
    names = {
        old_class: new_class if new_class.isidentifier() else f"Model{new_class}",
        # Escaped as in JSON and Python strings.
        other.display_name: json.dumps(own.display_name)[1:-1],
        like: model_id,
    }
    for file in folder.iterdir():
        text = file.read_text(encoding="utf-8")
        for old, new in names.items():
            text = text.replace(old, new)
        if file.name == "dashboard.json":
            # Grafana's limit for the length of a uid.
            dashboard = json.loads(text)
            text = json.dumps({**dashboard, "uid": dashboard["uid"][:40]}, indent=2) + "\n"
        file.write_text(text, encoding="utf-8")


def _copy_monitoring(folder: Path, target: Path) -> None:
    """Copy the monitor as laid out in a bundle: its launcher, and its package beside it."""
    if (folder / "bundle").is_dir():
        _copy_all([folder / "bundle"], target)
    if (folder / "requirements.txt").is_file():
        target.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(folder / "requirements.txt", target / "requirements.txt")
    package = target / "ktt_monitor"
    for module in folder.rglob("*.py"):
        place = module.relative_to(folder)
        if place.parts[0] != "bundle" and not _IGNORED(str(module.parent), [module.name]):
            (package / place).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(module, package / place)


def _required_package(package: str) -> list[Path]:
    folders = find_package(package)
    if not folders:
        raise UnsupportedError(
            f"this installation of KTT cannot make bundles: it lacks the sources of {package}"
        )
    return folders


def _copy_all(folders: Iterable[Path], target: Path) -> None:
    for folder in folders:
        shutil.copytree(folder, target, ignore=_IGNORED, dirs_exist_ok=True)


def _copy(name: str, folders: Iterable[Path], target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    for folder in folders:
        if (folder / name).is_dir():
            _copy_all([folder / name], target / name)
        elif (folder / name).is_file():
            shutil.copyfile(folder / name, target / name)
