"""``python -m monitoring.probe``: whether the monitor on this machine is ready, for health checks.

Exit code 0 if ``/ready`` answers 200 within five seconds, else 1.
"""

from __future__ import annotations

import os
import sys
import urllib.error
import urllib.request

__all__ = ["is_ready"]

_SECONDS = 5.0


def is_ready(port: int) -> bool:
    """Tell whether the monitor on a local port is ready."""
    # Not through a configured proxy.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"http://127.0.0.1:{port}/ready", timeout=_SECONDS) as answer:
            return answer.status == 200
    except (OSError, urllib.error.URLError):
        return False


if __name__ == "__main__":
    sys.exit(0 if is_ready(int(os.environ.get("KTT_MONITOR_PORT", "5001"))) else 1)
