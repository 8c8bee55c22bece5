"""What the packer is asked for, as JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ktt_core.errors import InvalidArgumentError
from ktt_core.names import check_name

__all__ = ["FORMAT_VERSION", "PackSpec", "read_spec"]

FORMAT_VERSION = 1

_TEXTS = (
    "model", "dataset", "display_name", "service_module", "artifacts", "output", "service_version"
)  # fmt: skip
_MONITORING = ("reference_set_path", "grafana_dashboard_path", "evidently_config")
_MODULE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+")
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


@dataclass(frozen=True)
class PackSpec:
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
    monitoring : mapping or None
        Configuration of `ktt_packing.packer.layout.init_folder_structure`; None leaves monitoring
        out.
    """

    model: str
    dataset: str
    display_name: str
    service_module: str
    artifacts: Path
    output: Path
    service_version: str
    gpu: bool
    sources: Path | None
    monitoring: Mapping[str, str] | None


def read_spec(path: Path) -> PackSpec:
    """Read a specification.

    Raises
    ------
    InvalidArgumentError
        If the file cannot be read, or a field is missing, unknown or wrong; the message says which.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InvalidArgumentError(f"the specification {path} cannot be read: {error}") from error
    if not isinstance(value, dict) or value.get("format_version") != FORMAT_VERSION:
        raise InvalidArgumentError(
            f"the specification {path} is not of version {FORMAT_VERSION}: the exporter and the "
            "packer are of two releases"
        )
    known = {"format_version", *_TEXTS, "gpu", "sources", "monitoring"}
    if unknown := sorted(set(value) - known):
        raise InvalidArgumentError(f"the specification has unknown fields: {', '.join(unknown)}")
    texts = {name: _text(value, name) for name in _TEXTS}
    for name, pattern in (("service_module", _MODULE), ("service_version", _VERSION)):
        if not pattern.fullmatch(texts[name]):
            raise InvalidArgumentError(f"the specification's {name} is wrong: {texts[name]!r:.80}")
    for name in ("model", "dataset"):
        check_name(texts[name], name)
    gpu = value.get("gpu", False)
    if not isinstance(gpu, bool):
        raise InvalidArgumentError("the specification's gpu must be true or false")
    artifacts, output = Path(texts.pop("artifacts")), Path(texts.pop("output"))
    sources = _text(value, "sources") if value.get("sources") is not None else None
    for name, folder in (("artifacts", artifacts), ("sources", sources)):
        if folder is not None and not Path(folder).is_dir():
            raise InvalidArgumentError(f"the specification's {name} is no folder: {folder}")
    return PackSpec(
        **texts,
        artifacts=artifacts,
        output=output,
        gpu=gpu,
        sources=Path(sources) if sources is not None else None,
        monitoring=_monitoring(value.get("monitoring")),
    )


def _text(value: Mapping[str, Any], name: str) -> str:
    found = value.get(name)
    if not isinstance(found, str) or not found:
        raise InvalidArgumentError(f"the specification's {name} must be a text, not {found!r:.80}")
    return found


def _monitoring(value: Any) -> Mapping[str, str] | None:
    if value is None:
        return None
    if not isinstance(value, dict) or set(value) != set(_MONITORING):
        raise InvalidArgumentError(
            f"the specification's monitoring must be null or have {', '.join(_MONITORING)}"
        )
    return {name: _text(value, name) for name in _MONITORING}
