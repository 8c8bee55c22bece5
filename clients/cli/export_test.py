"""What came of exports, as it is shown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from cli.backend.protocol import ExportOutcome
from cli.export import export_command, print_exports

PARITY = {"rows": "499", "split": "test", "topPathAgreement": 1, "maxProbabilityDifference": 2e-7}
QUANTIZATION = {
    "path": "model.int8.onnx",
    "topPathAgreement": 0.985,
    "original": {
        "sizeBytes": "90500000", "hierarchicalF1": 0.9459, "msAlone": 5.53, "msBatched": 5.7,
    },
    "quantized": {
        "sizeBytes": "22900000", "hierarchicalF1": 0.9447, "msAlone": 2.32, "msBatched": 2.2,
    },
}  # fmt: skip


def outcome(**manifest: Any) -> ExportOutcome:
    return ExportOutcome(
        "shop", "db_linear", "onnx", Path("out/db_linear_shop"), {"parity": PARITY, **manifest}
    )


def test_both_graphs_are_shown_side_by_side(capsys: pytest.CaptureFixture[str]) -> None:
    assert print_exports([outcome(quantization=QUANTIZATION)], as_json=False) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines() if "model." in line]
    assert lines == [
        ["shop", "db_linear", "model.onnx", "90.5", "MB", "0.9459", "5.53", "5.70"],
        ["shop", "db_linear", "model.int8.onnx", "22.9", "MB", "0.9447", "2.32", "2.20", "98.50%"],
    ]


def test_an_export_of_one_graph_has_no_second_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert print_exports([outcome()], as_json=False) == 0
    shown = capsys.readouterr().out
    assert "model.onnx" not in shown
    assert "499 test" in shown and "wrote out/db_linear_shop" in shown


def test_only_known_quantizations_are_taken() -> None:
    done = CliRunner().invoke(export_command, ["shop", "-m", "db_linear", "--quantize", "int4"])
    assert done.exit_code == 2
    assert "int8" in done.output
