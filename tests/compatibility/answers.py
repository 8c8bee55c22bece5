"""What a workspace answers: its datasets, checkpoints, jobs, exports and reference sets."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from compatibility.services import Services, ktt

# The last one is for exported folders alone: services refuse an empty text.
TEXTS = ("red running shoes", "Liederbuch, größer", "a guitar, or a football boot?", "")
MODELS = ("tfidf_hsgd", "tfidf_lsgd", "db_bhcn")
UNSTEADY = {"seconds", "texts_per_second", "eta"}
PLACE = re.compile(r"\S*/workspace/")
ENDED = {"SUCCEEDED", "FAILED", "CANCELLED"}


def ask(workspace: Path, onnx_program: Path) -> dict[str, Any]:
    """Return what programs answer on a workspace, by what they are asked.

    Parameters
    ----------
    workspace : Path
        It is written to: jobs that were running, and those in the queue, are brought to their end.
    onnx_program : Path
        What classifies texts with an exported folder alone.

    Raises
    ------
    RuntimeError
        If a command fails, or a job does not end.
    """
    weights = workspace / "weights"
    # Before services are started, which go on with the run that is half finished.
    answers = {
        "datasets": [
            ktt("--workspace", workspace, "data", "show", path.name)
            for path in sorted(workspace.glob("datasets/[!.]*"))
        ],
        "checkpoints": ktt("--workspace", workspace, "checkpoints"),
        "exports": {
            folder.name: _classify(onnx_program, folder)
            for folder in sorted(workspace.glob("outputs/[!.]*"))
        },
        "references": {
            str(path.relative_to(weights)): _columns(path)
            for path in sorted(weights.rglob("*_reference.parquet"))
        },
    }
    services = Services(workspace)
    try:
        _wait_for_jobs(services)
        answers["jobs"] = services.ktt("jobs", "list")
        for model in MODELS:
            answers[f"evaluate {model}"] = services.ktt("evaluate", "shop", "-m", model)
            for more in (["--top-k", "3"], ["--min-confidence", "0.6"]):
                question = ["predict", "shop", "-m", model, *more]
                answers[" ".join(question)] = services.ktt(*question, *TEXTS[:-1])
    finally:
        services.stop()
    return _portable(answers)


def _classify(program: Path, folder: Path) -> list[str]:
    command = [sys.executable, str(program), str(folder), *TEXTS]
    return subprocess.run(command, capture_output=True, check=True, text=True).stdout.splitlines()


def _columns(path: Path) -> dict[str, Any]:
    """Return a reference set's columns: all labels, and of numbers the first three."""
    table = pq.read_table(path)
    return {
        "rows": table.num_rows,
        **{
            name: table[name].to_pylist()[: None if at == 0 else 3]
            for at, name in enumerate(table.column_names)
        },
    }


def _wait_for_jobs(services: Services) -> None:
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline:
        if all(job["state"] in ENDED for job in services.ktt("jobs", "list")):
            return
        time.sleep(0.5)
    raise RuntimeError(f"jobs go on: {services.ktt('jobs', 'list')}")


def _portable(value: Any) -> Any:
    """Return answers without what is never twice the same, and without the workspace's place."""
    if isinstance(value, dict):
        return {name: _portable(one) for name, one in value.items() if name not in UNSTEADY}
    if isinstance(value, list):
        return [_portable(one) for one in value]
    return PLACE.sub("", value) if isinstance(value, str) else value
