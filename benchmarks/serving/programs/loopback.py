"""BentoML's command line, whose servers listen on loopback alone: they know no such option."""

from __future__ import annotations

from typing import Any

from gunicorn.config import Config

_set = Config.set


def _set_on_loopback(self: Any, name: str, value: Any) -> None:
    if name == "bind":
        value = str(value).replace("0.0.0.0:", "127.0.0.1:")
    _set(self, name, value)


if __name__ == "__main__":
    Config.set = _set_on_loopback
    from bentoml import commandline_interface

    commandline_interface()
