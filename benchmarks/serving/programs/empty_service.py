"""A BentoService that does nothing: ``empty_service.py FOLDER`` saves it there."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import bentoml
from bentoml.adapters import JsonInput, JsonOutput


@bentoml.env(infer_pip_packages=False)
class EmptyService(bentoml.BentoService):
    """Takes JSON and answers with JSON, in batches, like a bundle."""

    @bentoml.api(
        input=JsonInput(),
        output=JsonOutput(),
        batch=True,
        mb_max_batch_size=64,
        mb_max_latency=600_000,
    )
    def predict(self, values: Sequence[Any]) -> list[str]:
        """Answer with what a bundle might."""
        return ["Food\nPasta\nSpaghetti"] * len(values)


if __name__ == "__main__":
    # BentoML looks for the class in a module that has a name.
    service = importlib.import_module(Path(__file__).stem).EmptyService()
    service.set_version("1")
    service.save_to_dir(sys.argv[1])
