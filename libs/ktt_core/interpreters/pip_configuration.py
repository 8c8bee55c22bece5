"""pip's settings, read as pip reads them, also without pip."""

from __future__ import annotations

import configparser
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from ktt_core.errors import FailedPreconditionError

__all__ = ["read_pip_settings"]

_NO_SETTINGS = ("help", "version")


def read_pip_settings(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the settings that ``pip install`` would use.

    A key of ``[install]`` overrides one of ``[global]``, in any file, and an environment variable
    ``PIP_...`` overrides both. pip's configuration file in a virtual environment is ignored.

    Parameters
    ----------
    environ : mapping of str to str
        The environment variables.

    Returns
    -------
    dict
        Setting name (``index-url``) to its value.

    Raises
    ------
    FailedPreconditionError
        If one of pip's configuration files is broken.
    """
    sections: dict[str, dict[str, str]] = {"global": {}, "install": {}}
    for file in _configuration_files(environ):
        # As in pip: no interpolation, and keys in lower case.
        parser = configparser.RawConfigParser()
        try:
            with open(file, encoding="utf-8", errors="surrogateescape") as lines:
                parser.read_file(lines)
        except (FileNotFoundError, NotADirectoryError, PermissionError, IsADirectoryError):
            continue
        except (OSError, configparser.Error) as error:
            raise FailedPreconditionError(
                f"pip's configuration file {file} cannot be read: {error}"
            ) from error
        for section, values in sections.items():
            if parser.has_section(section):
                values.update({_name(key): value for key, value in parser.items(section)})
    variables = {
        _name(key[4:]): value for key, value in environ.items() if key.startswith("PIP_") and value
    }
    for name in _NO_SETTINGS:
        variables.pop(name, None)
    settings = {**sections["global"], **sections["install"], **variables}
    return {name: value for name, value in settings.items() if value}


def _name(key: str) -> str:
    name = key.lower().replace("_", "-")
    return name[2:] if name.startswith("--") else name


def _configuration_files(environ: Mapping[str, str]) -> Iterator[Path]:
    """Yield pip's configuration files; later ones take precedence."""
    named = environ.get("PIP_CONFIG_FILE")
    if named == os.devnull:
        return
    home = Path(environ.get("HOME") or os.path.expanduser("~"))
    configuration = Path(environ.get("XDG_CONFIG_HOME") or home / ".config")
    if sys.platform == "darwin":
        yield Path("/Library/Application Support/pip/pip.conf")
        users = home / "Library" / "Application Support"
        configuration = users if (users / "pip").is_dir() else home / ".config"
    else:
        for folder in (environ.get("XDG_CONFIG_DIRS") or "/etc/xdg").split(os.pathsep):
            yield Path(folder, "pip", "pip.conf")
        yield Path("/etc/pip.conf")
    if not (named and os.path.exists(named)):
        yield home / ".pip" / "pip.conf"
        yield configuration / "pip" / "pip.conf"
    if named:
        yield Path(named)
