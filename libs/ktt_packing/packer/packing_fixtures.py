"""Requests for bundles of small models, and such bundles."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ktt_packing.packer.pack import pack
from ktt_packing.request import PackRequest

VERSION = "20260131T123456"


def write_monitoring_inputs(folder: Path) -> dict[str, str]:
    """Write what stands for a reference set, a dashboard and a configuration."""
    folder.mkdir(parents=True)
    files = {
        "reference_set_path": ("set.parquet", b"PAR1"),
        "grafana_dashboard_path": ("board.json", b"{}"),
        "evidently_config": ("conf.yaml", b"service: {}\n"),
    }
    for name, content in files.values():
        (folder / name).write_bytes(content)
    return {key: str(folder / name) for key, (name, _) in files.items()}


def make_request(artifacts: Path, output: Path, **changes: Any) -> PackRequest:
    """Return a request for a bundle."""
    model = json.loads((artifacts / "model.json").read_text())["model"]
    values: dict[str, Any] = {
        "model": model,
        "dataset": "toys",
        "display_name": "A model",
        "service_module": f"ktt_models.{model}.bentoml.svc_lts",
        "artifacts": artifacts,
        "output": output,
        "service_version": VERSION,
        "gpu": False,
        "sources": None,
        "monitoring": None,
    }
    return PackRequest(**{**values, **changes})


def make_bundle(artifacts: Path, output: Path, monitored: bool = False) -> Path:
    """Pack artifacts, and return the folder of the service.

    A monitored one is marked as such, without a monitoring service beside it.
    """
    inference = pack(make_request(artifacts, output))
    if monitored:
        (file,) = inference.glob("*/artifacts/model/service.json")
        value = json.loads(file.read_text())
        file.write_text(json.dumps({**value, "monitoring": True}))
    return inference
