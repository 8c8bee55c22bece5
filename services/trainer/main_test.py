"""The command line says what each option is for, and refuses what cannot work."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from trainer.main import main


def test_the_help_explains_every_option_and_names_its_variable() -> None:
    done = CliRunner().invoke(main, ["--help"], terminal_width=100)
    assert done.exit_code == 0
    for parameter in main.params:
        assert parameter.envvar and str(parameter.envvar) in done.output
        assert parameter.opts[0] in done.output
        assert len(getattr(parameter, "help", "")) > 20


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--workers", "0"], "--workers"),
        (["--retention-days", "-1"], "--retention-days"),
        (["--retention-days", "nan"], "not a number"),
        (["--upload-limit-mb", "nan"], "not a number"),
        (["--upload-ttl-hours", "nan"], "not a number"),
        (["--workspace", ""], "path is empty"),
        (["--allowed-root", "/nowhere/at/all"], "does not exist"),
        (["--workspace", "{file}"], "is a file"),
        (["--workspace", "{file}/inside"], "cannot be used"),
    ],
)
def test_what_cannot_work_is_refused(tmp_path: Path, arguments: list[str], message: str) -> None:
    file = tmp_path / "file"
    file.touch()
    filled = [argument.format(file=file) for argument in arguments]
    done = CliRunner().invoke(main, filled)
    assert done.exit_code == 2
    assert message in done.output


def test_plain_text_to_other_machines_is_refused(tmp_path: Path) -> None:
    workspace = tmp_path / "workspace"
    done = CliRunner().invoke(
        main, ["--workspace", str(workspace), "--host", "0.0.0.0", "--port", "0"]
    )
    assert done.exit_code == 2
    assert not workspace.exists()
