"""What the client asks of the packer: written and read here, as JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from ktt_core.errors import InvalidArgumentError
from ktt_core.names import check_name

__all__ = ["FORMAT_VERSION", "MonitoringFiles", "PackRequest", "read_request", "write_request"]

FORMAT_VERSION = 1

_MODULE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+")
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


@dataclass(frozen=True)
class MonitoringFiles:
    """What a bundle's monitoring is made of.

    Attributes
    ----------
    reference_set_path, grafana_dashboard_path, evidently_config : Path
        See `ktt_packing.packer.layout.init_folder_structure`, whose configuration they are.
    """

    reference_set_path: Path
    grafana_dashboard_path: Path
    evidently_config: Path

    def to_json(self) -> dict[str, str]:
        """Return a JSON value."""
        return {name: str(path) for name, path in vars(self).items()}

    @classmethod
    def from_json(cls, value: Any) -> MonitoringFiles:
        """Undo `to_json`.

        Raises
        ------
        InvalidArgumentError
            If a field is missing, unknown or wrong.
        """
        names = [field.name for field in fields(cls)]
        if not isinstance(value, dict) or set(value) != set(names):
            raise InvalidArgumentError(
                f"the request's monitoring must be null or have {', '.join(names)}"
            )
        return cls(**{name: Path(_text(value, name)) for name in names})


@dataclass(frozen=True)
class PackRequest:
    """One bundle to pack.

    Attributes
    ----------
    model, dataset, display_name : str
    service_module : str
        Full name of the model's ``svc_lts`` module.
    artifacts : Path
        What the model's ``export_artifacts`` wrote.
    output : Path
        Exists and is empty, or is made.
    service_version : str
    gpu : bool
        Whether a graph runs on CUDA.
    sources : Path or None
        A folder of all packages that go into the bundle; None takes those the packer runs from.
    monitoring : MonitoringFiles or None
        None leaves monitoring out.
    """

    model: str
    dataset: str
    display_name: str
    service_module: str
    artifacts: Path
    output: Path
    service_version: str
    gpu: bool = False
    sources: Path | None = None
    monitoring: MonitoringFiles | None = None

    def to_json(self) -> dict[str, Any]:
        """Return a JSON value."""
        value = {
            name: str(field) if isinstance(field, Path) else field
            for name, field in vars(self).items()
        }
        if self.monitoring is not None:
            value["monitoring"] = self.monitoring.to_json()
        return {"format_version": FORMAT_VERSION, **value}

    @classmethod
    def from_json(cls, value: Any) -> PackRequest:
        """Undo `to_json`.

        Raises
        ------
        InvalidArgumentError
            If it is of another version, or a field is missing, unknown or wrong; the message says
            which.
        """
        if not isinstance(value, dict) or value.get("format_version") != FORMAT_VERSION:
            raise InvalidArgumentError(
                f"the request is not of version {FORMAT_VERSION}: the exporter and the packer are "
                "of two releases"
            )
        known = {"format_version", *(field.name for field in fields(cls))}
        if unknown := sorted(set(value) - known):
            raise InvalidArgumentError(f"the request has unknown fields: {', '.join(unknown)}")
        monitoring = value.get("monitoring")
        request = cls(
            model=_text(value, "model"),
            dataset=_text(value, "dataset"),
            display_name=_text(value, "display_name"),
            service_module=_text(value, "service_module"),
            artifacts=Path(_text(value, "artifacts")),
            output=Path(_text(value, "output")),
            service_version=_text(value, "service_version"),
            gpu=value.get("gpu", False),
            sources=Path(_text(value, "sources")) if value.get("sources") is not None else None,
            monitoring=MonitoringFiles.from_json(monitoring) if monitoring is not None else None,
        )
        request._check()
        return request

    def _check(self) -> None:
        for name, text, pattern in (
            ("service_module", self.service_module, _MODULE),
            ("service_version", self.service_version, _VERSION),
        ):
            if not pattern.fullmatch(text):
                raise InvalidArgumentError(f"the request's {name} is wrong: {text!r:.80}")
        check_name(self.model, "model")
        check_name(self.dataset, "dataset")
        if not isinstance(self.gpu, bool):
            raise InvalidArgumentError("the request's gpu must be true or false")
        for name, folder in (("artifacts", self.artifacts), ("sources", self.sources)):
            if folder is not None and not folder.is_dir():
                raise InvalidArgumentError(f"the request's {name} is not a folder: {folder}")


def write_request(request: PackRequest, path: Path) -> None:
    """Write it for the packer."""
    path.write_text(json.dumps(request.to_json(), indent=2) + "\n", encoding="utf-8")


def read_request(path: Path) -> PackRequest:
    """Read what `write_request` wrote.

    Raises
    ------
    InvalidArgumentError
        If the file cannot be read, or see `PackRequest.from_json`.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, RecursionError, ValueError) as error:
        raise InvalidArgumentError(f"the request {path} cannot be read: {error}") from error
    return PackRequest.from_json(value)


def _text(value: Mapping[str, Any], name: str) -> str:
    found = value.get(name)
    if not isinstance(found, str) or not found:
        raise InvalidArgumentError(f"the request's {name} must be a text, not {found!r:.80}")
    return found
