"""Packs a model's artifacts into a bundle."""

from __future__ import annotations

import contextlib
import inspect
import logging
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from string import Template
from types import ModuleType
from typing import TYPE_CHECKING, Any

from ktt_core.errors import InvalidArgumentError
from ktt_packing.packer.import_wheel import FOLDER, write_import_wheel
from ktt_packing.packer.layout import init_folder_structure
from ktt_packing.packer.sources import copy_sources, import_service, own_root
from ktt_packing.request import PackRequest

if TYPE_CHECKING:
    from ktt_serving.service import ClassifierService

__all__ = ["pack"]

_BUNDLE_FILES = Path(__file__).parent / "bundle_files"
_REQUIREMENTS = Path(__file__).parent / "requirements"
# What BentoML writes for images of its own, on conda.
_UNUSED = ("environment.yml", "python_version", "README.md")
_BASE_IMAGE = "python:3.11-slim"


def pack(request: PackRequest) -> Path:
    """Make a bundle; returns the folder of its BentoService.

    Raises
    ------
    KttError, LayoutError
        If something of the request cannot be used; the message says what.
    """
    root = (request.sources or own_root()).resolve()
    with _quiet_bentoml():
        from ktt_serving.identity import Identity, write_identity

        service_class = _service_class(import_service(request.service_module, root))
        requirements = _requirements_file(service_class, request.gpu)
        # It warns of this Python, whose image it would take from conda, and is not asked for.
        logging.getLogger("bentoml").setLevel(logging.ERROR)
        service = service_class()
        service.set_version(request.service_version)
        monitoring = request.monitoring.to_json() if request.monitoring is not None else None
        inference = init_folder_structure(request.output, monitoring)
        service.pack("model", request.artifacts)
        service.save_to_dir(str(inference))
    name = str(service.name)
    package = inference / name
    _remove_strays(package / "artifacts", request.artifacts)
    write_identity(
        Identity(
            request.model,
            request.dataset,
            request.display_name,
            request.service_version,
            request.gpu,
            request.monitoring is not None,
        ),
        package / "artifacts" / "model",
    )
    copy_sources(request.service_module, root, package)
    _replace_files(inference, package, request, requirements)
    values = {
        "model": request.model,
        "dataset": request.dataset,
        "display_name": request.display_name,
        "version": request.service_version,
    }
    readme = "README.md" if request.monitoring is not None else "README-alone.md"
    _fill(readme, request.output / "README.md", values)
    _let_all_read(request.output)
    return inference


def _service_class(module: ModuleType) -> type[ClassifierService]:
    import bentoml

    found: list[Any] = [
        value
        for value in vars(module).values()
        if inspect.isclass(value)
        and issubclass(value, bentoml.BentoService)
        and value.__module__ == module.__name__
    ]
    if len(found) != 1:
        raise InvalidArgumentError(
            f"{module.__name__} defines {len(found)} BentoServices; it must define one"
        )
    service_class: type[ClassifierService] = found[0]
    return service_class


def _requirements_file(service_class: type[ClassifierService], gpu: bool) -> Path:
    name = getattr(service_class, "requirements", "encoder")
    beside = Path(inspect.getfile(service_class)).parent / name
    if beside.is_file():
        return beside
    file = _REQUIREMENTS / f"{name}{'-gpu' if gpu else ''}.txt"
    if not file.is_file():
        raise InvalidArgumentError(
            f"{service_class.__name__} wants the requirements {name!r:.80}"
            f"{' on a GPU' if gpu else ''}: neither {beside} nor {file} exists"
        )
    return file


def _remove_strays(artifacts: Path, packed: Path) -> None:
    # BentoML makes a package of every folder that has no __init__.py.
    for stray in [artifacts / "__init__.py", *artifacts.rglob("__init__.py")]:
        inside = stray.relative_to(artifacts)
        if len(inside.parts) == 1 or not packed.joinpath(*inside.parts[1:]).exists():
            stray.unlink(missing_ok=True)


def _replace_files(
    inference: Path, package: Path, request: PackRequest, requirements: Path
) -> None:
    for name in _UNUSED:
        (inference / name).unlink(missing_ok=True)
    shutil.copyfile(_BUNDLE_FILES / "Dockerfile", inference / "Dockerfile")
    _fill("start", inference / "start", {"service": package.name})
    shutil.copyfile(_BUNDLE_FILES / "docker-entrypoint.sh", inference / "docker-entrypoint.sh")
    shutil.copyfile(_BUNDLE_FILES / "dockerignore", inference / ".dockerignore")
    pins = requirements.read_text(encoding="utf-8") + write_import_wheel(inference / FOLDER)
    (inference / "requirements.txt").write_text(pins, encoding="utf-8")
    for script in ("start", "docker-entrypoint.sh", "bentoml-init.sh"):
        (inference / script).chmod(0o755)
    for cache in sorted(inference.rglob("__pycache__")):
        shutil.rmtree(cache)
    archives = package / "zipimports"
    if archives.is_dir() and not any(archives.iterdir()):
        archives.rmdir()
    for file in (inference / "bentoml.yml", package / "bentoml.yml"):
        text = file.read_text(encoding="utf-8")
        # The version says when; so one checkpoint, exported twice at one time, gives one bundle.
        text = re.sub(
            r"(?m)^( *created_at: ).*$", rf"\g<1>{_moment(request.service_version)}", text
        )
        text = re.sub(r"(?m)^( *docker_base_image: ).*$", rf"\g<1>{_BASE_IMAGE}", text)
        file.write_text(text, encoding="utf-8")


def _fill(template: str, target: Path, values: Mapping[str, str]) -> None:
    text = (_BUNDLE_FILES / template).read_text(encoding="utf-8")
    target.write_text(Template(text).substitute(values), encoding="utf-8")


def _let_all_read(folder: Path) -> None:
    # Containers run as users of their own, and artifacts may come from a private temporary folder.
    for path in folder.rglob("*"):
        path.chmod(path.stat().st_mode | (0o555 if path.is_dir() else 0o444))


def _moment(version: str) -> str:
    try:
        return str(datetime.strptime(version, "%Y%m%dT%H%M%S"))
    except ValueError:
        return "2000-01-01 00:00:00"


@contextlib.contextmanager
def _quiet_bentoml() -> Iterator[None]:
    """Keep BentoML from leaving files in the user's home, and from telling of it."""
    os.environ["BENTOML_DO_NOT_TRACK"] = "True"
    with tempfile.TemporaryDirectory(prefix="ktt-packer-") as home:
        os.environ.setdefault("BENTOML_HOME", home)
        yield
        logging.shutdown()
