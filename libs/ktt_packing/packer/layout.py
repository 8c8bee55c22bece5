"""The folder tree of a bundle. Needs the standard library alone."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from ktt_packing.contents import MONITORING, copy_files, copy_monitoring

__all__ = ["INFERENCE", "LayoutError", "init_folder_structure"]

#: Where the BentoService goes.
INFERENCE = "inference"

_TEMPLATES = Path(__file__).parent / "templates"
# The monitoring service, beside this package where sources are staged, or in KTT's own tree.
_MONITORING = (
    Path(__file__).parents[2] / MONITORING,
    Path(__file__).parents[3] / "services" / MONITORING,
)
_FILES = {
    "reference_set_path": Path(MONITORING, "references.parquet"),
    "grafana_dashboard_path": Path("grafana", "provisioning", "dashboards", "dashboard.json"),
    "evidently_config": Path(MONITORING, "evidently.yaml"),
}


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
        copy_files(_TEMPLATES, target)
        _copy_monitoring(target / MONITORING)
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


def _copy_monitoring(target: Path) -> None:
    # A packaged packer lies elsewhere than the sources staged for it, which it imports from.
    staged = [Path(entry) / MONITORING for entry in sys.path if entry]
    for folder in (*_MONITORING, *staged):
        if (folder / "monitoring.py").is_file():
            copy_files(folder, target)
            return
        if (folder / "bundle" / "monitoring.py").is_file():
            copy_monitoring(folder, target)
            return
    raise LayoutError("this installation lacks the monitoring service, which goes into bundles")
