"""The folder tree of a bundle. Needs the standard library alone."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

__all__ = ["INFERENCE", "LayoutError", "init_folder_structure"]

#: Where the BentoService goes.
INFERENCE = "inference"

_TEMPLATES = Path(__file__).parent / "templates"
# The monitoring service, beside this package where sources are staged, or in KTT's own tree.
_MONITORING = (
    Path(__file__).parents[2] / "monitoring",
    Path(__file__).parents[3] / "services" / "monitoring",
)
_FILES = {
    "reference_set_path": Path("monitoring", "references.parquet"),
    "grafana_dashboard_path": Path("grafana", "provisioning", "dashboards", "dashboard.json"),
    "evidently_config": Path("monitoring", "evidently.yaml"),
}
_IGNORED = shutil.ignore_patterns(
    "__pycache__", "*.pyc", "BUILD", "conftest.py", "*_test.py", "testdata", ".*_cache"
)


class LayoutError(Exception):
    """A file that a bundle needs is not there; the message says which."""


def init_folder_structure(
    path: str | os.PathLike[str], config: Mapping[str, str | os.PathLike[str]] | None = None
) -> Path:
    """Make a bundle's folders, and all of its files but the BentoService.

    ::

        <path>/
          inference/                       empty: the BentoService is saved here
          docker-compose.yaml              with `config` alone, as is all below
          docker-compose.gpu.yaml
          grafana/provisioning/            data source, dashboard
          prometheus/                      scrape configuration, alert rules
          monitoring/                      the monitoring service, its configuration, its reference

    Parameters
    ----------
    path : path
        Exists and is empty, or is made.
    config : mapping, optional
        Without it there is no monitoring. Its keys, each the path of a file that is copied as it
        is: ``reference_set_path`` (the reference set, Parquet), ``grafana_dashboard_path`` (the
        dashboard, JSON), ``evidently_config`` (the monitoring service's YAML).

    Returns
    -------
    Path
        Where the BentoService is to be saved: ``<path>/inference``.

    Raises
    ------
    LayoutError
        If the folder is not empty, a key is missing or unknown, or a file is not there.
    """
    target = Path(path)
    target.mkdir(parents=True, exist_ok=True)
    if any(target.iterdir()):
        raise LayoutError(f"{target} is not empty: a bundle is made in a folder of its own")
    files = _checked(config) if config is not None else {}
    inference = target / INFERENCE
    if files:
        if not _TEMPLATES.is_dir():
            raise LayoutError(f"this installation lacks the templates of bundles ({_TEMPLATES})")
        shutil.copytree(_TEMPLATES, target, ignore=_IGNORED, dirs_exist_ok=True)
        _copy_monitoring(target / "monitoring")
        for name, source in files.items():
            copy = target / _FILES[name]
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, copy)
    inference.mkdir()
    return inference


def _checked(config: Mapping[str, str | os.PathLike[str]]) -> dict[str, Path]:
    if set(config) != set(_FILES):
        raise LayoutError(
            f"the configuration of a bundle has the keys {', '.join(_FILES)}, not "
            f"{', '.join(map(str, config)) or 'none'}"
        )
    files = {name: Path(config[name]) for name in _FILES}
    for name, file in files.items():
        if not file.is_file():
            raise LayoutError(f"{name}: there is no file {file}")
    return files


def _not_a_module(place: str, names: list[str]) -> set[str]:
    return _IGNORED(place, names) | {"bundle", "requirements.txt", "Dockerfile"}.intersection(names)


def _copy_monitoring(target: Path) -> None:
    # A packaged packer lies elsewhere than the sources staged for it, which it imports from.
    staged = [Path(entry) / "monitoring" for entry in sys.path if entry]
    for folder in (*_MONITORING, *staged):
        if (folder / "monitoring.py").is_file():
            shutil.copytree(folder, target, ignore=_IGNORED)
            return
        if (folder / "bundle" / "monitoring.py").is_file():
            # KTT's own tree: what is started stands in a folder of its own, its package around it.
            shutil.copytree(folder / "bundle", target, ignore=_IGNORED)
            shutil.copyfile(folder / "requirements.txt", target / "requirements.txt")
            shutil.copytree(folder, target / "ktt_monitor", ignore=_not_a_module)
            return
    raise LayoutError("this installation lacks the monitoring service, which goes into bundles")
