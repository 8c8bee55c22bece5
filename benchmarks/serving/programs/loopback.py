"""BentoML's command line, whose servers listen on loopback alone: they know no such option.

``loopback.py MODULE ARGUMENTS``: through a module of that name, as a bundle's image starts its own,
or through ``bentoml`` itself.
"""

from __future__ import annotations

import runpy
import sys
from typing import Any

from gunicorn.config import Config

_set = Config.set


def _set_on_loopback(self: Any, name: str, value: Any) -> None:
    if name == "bind":
        value = str(value).replace("0.0.0.0:", "127.0.0.1:")
    _set(self, name, value)


if __name__ == "__main__":
    Config.set = _set_on_loopback
    module = sys.argv.pop(1)
    if module == "bentoml":
        from bentoml import commandline_interface

        commandline_interface()
    else:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
