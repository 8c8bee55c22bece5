"""Staging: copies the sources of bundles to a folder for the packer.

They run in another environment, with packages that this one lacks. So they are not imported here,
but found as files.
"""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path

from ktt_core.errors import UnsupportedError
from ktt_core.registry import get_entry
from ktt_packing.contents import CARRIED, MONITORING, PACKING, copy_files, copy_monitoring

__all__ = ["SERVICE_MODULE", "find_package", "find_service", "stage_sources"]

#: The service's module within the package of a model.
SERVICE_MODULE = "bentoml.svc_lts"

_BUNDLED = "ktt_models"
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
    for name, patterns in {**CARRIED, **PACKING}.items():
        for folder in _required_package(name):
            copy_files(folder, target / name, patterns)
    for folder in _required_package(MONITORING):
        copy_monitoring(folder, target / MONITORING)
    above = target
    for part in package.split("."):
        above /= part
        above.mkdir(exist_ok=True)
        (above / "__init__.py").write_text(_PARENT, encoding="utf-8")
    copy_files(service, above / "bentoml")
    own = find_package(package)
    if service.parent not in own:
        _rename_service(above / "bentoml", like, model_id)
        # A model that is served like another may still say what is watched and shown.
        for folder in own:
            if (folder / "bentoml").is_dir():
                copy_files(folder / "bentoml", above / "bentoml")


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
    for file in filter(Path.is_file, folder.iterdir()):
        text = file.read_text(encoding="utf-8")
        for old, new in names.items():
            text = text.replace(old, new)
        if file.name == "dashboard.json":
            # Grafana's limit for the length of a uid.
            dashboard = json.loads(text)
            text = json.dumps({**dashboard, "uid": dashboard["uid"][:40]}, indent=2) + "\n"
        file.write_text(text, encoding="utf-8")


def _required_package(package: str) -> list[Path]:
    folders = find_package(package)
    if not folders:
        raise UnsupportedError(
            f"this installation of KTT cannot make bundles: it lacks the sources of {package}"
        )
    return folders
