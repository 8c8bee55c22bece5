from __future__ import annotations

from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from ktt_rpc.option_types import Folder, NumberRange


@click.command()
@click.option("--days", type=NumberRange(0, 10, min_open=True), default=1.0)
@click.option("--folder", type=Folder(path_type=Path), default=Path("workspace"))
def _command(days: float, folder: Path) -> None:
    click.echo(f"{days:g} {folder}")


@pytest.mark.parametrize("value", ["nan", "NaN", "-nan", "inf", "0", "11", "", "x"])
def test_what_is_no_number_within_the_bounds_is_refused(value):
    result = CliRunner().invoke(_command, ["--days", value])
    assert result.exit_code == 2
    assert "--days" in result.output


def test_the_empty_path_is_not_taken_for_the_current_folder():
    result = CliRunner().invoke(_command, ["--folder", ""])
    assert result.exit_code == 2
    assert "empty" in result.output


def test_what_is_left_is_taken():
    assert CliRunner().invoke(_command, []).output == "1 workspace\n"
    assert CliRunner().invoke(_command, ["--days", "2.5", "--folder", "."]).output == "2.5 .\n"
