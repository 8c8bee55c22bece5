"""Headless Chromium, driven over the W3C WebDriver protocol."""

from __future__ import annotations

import base64
import contextlib
import json
import shutil
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

__all__ = ["KEYS", "Browser", "browser", "missing_programs"]

_ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # the protocol's own key for an element's id
_FLAGS = (
    "--headless",
    "--no-sandbox",  # a container's root
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
#: The protocol's names of special keys.
KEYS = {
    "Backspace": "\ue003",
    "Tab": "\ue004",
    "Enter": "\ue007",
    "Shift": "\ue008",
    "Control": "\ue009",
    "End": "\ue010",
    "Home": "\ue011",
    "ArrowLeft": "\ue012",
    "ArrowUp": "\ue013",
    "ArrowRight": "\ue014",
    "ArrowDown": "\ue015",
}


def missing_programs() -> list[str]:
    """Return which of the required programs are not installed."""
    return [name for name in ("chromium", "chromedriver") if shutil.which(name) is None]


class Browser:
    """One window.

    Parameters
    ----------
    session : str
        URL of the session at the driver.
    """

    def __init__(self, session: str) -> None:
        self.session = session

    def go(self, url: str) -> None:
        """Open an address, and wait until it is loaded."""
        self._post("url", url=url)

    def run(self, script: str, *arguments: Any) -> Any:
        """Execute a function body, and return its result."""
        return self._post("execute/sync", script=script, args=list(arguments))

    def wait(self, script: str, seconds: float = 60.0) -> Any:
        """Wait for a true value of a script, and return it.

        Raises
        ------
        AssertionError
            If it stays false for so long.
        """
        deadline = time.monotonic() + seconds
        while not (value := self.run(script)):
            if time.monotonic() > deadline:
                body = self.run("return document.body.innerText")
                raise AssertionError(f"never came true: {script}; the page says:\n{body}")
            time.sleep(0.05)
        return value

    def type(self, selector: str, text: str) -> None:
        """Type a text into an element."""
        element = self._post("element", using="css selector", value=selector)[_ELEMENT]
        self._post(f"element/{element}/value", text=text)

    def click(self, selector: str) -> None:
        """Click on an element."""
        element = self._post("element", using="css selector", value=selector)[_ELEMENT]
        self._post(f"element/{element}/click")

    def press(self, *keys: str) -> None:
        """Hold all keys but the last, named as in `KEYS` or characters, and press the last."""
        values = [KEYS.get(key, key) for key in keys]
        actions = [{"type": "keyDown", "value": value} for value in values]
        actions += [{"type": "keyUp", "value": value} for value in reversed(values)]
        self._post("actions", actions=[{"type": "key", "id": "keyboard", "actions": actions}])

    def resize(self, width: int, height: int) -> None:
        """Set the size of the page in pixels, as on a phone if small."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self.devtools("Emulation.setDeviceMetricsOverride", **size)

    def prefer(self, **features: str) -> None:
        """Set media features, such as ``prefers_color_scheme="dark"``."""
        values = [{"name": key.replace("_", "-"), "value": features[key]} for key in features]
        self.devtools("Emulation.setEmulatedMedia", features=values)

    def devtools(self, command: str, **parameters: Any) -> Any:
        """Send a command of the DevTools protocol."""
        return self._post("goog/cdp/execute", cmd=command, params=parameters)

    def screenshot(self, path: Path) -> None:
        """Write the whole page as PNG."""
        answer = self.devtools("Page.captureScreenshot", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(answer["data"]))

    def complaints(self) -> list[str]:
        """Return the browser's console messages since the last call."""
        return [entry["message"] for entry in self._post("se/log", type="browser")]

    def _post(self, command: str, **parameters: Any) -> Any:
        return _call(f"{self.session}/{command}", parameters)


@contextlib.contextmanager
def browser() -> Iterator[Browser]:
    """Start a browser with a new profile, and stop it at the end."""
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        log = stack.enter_context(open(Path(folder) / "log", "w+"))
        driver = subprocess.Popen(["chromedriver", "--port=0"], stdout=log, stderr=log)
        stack.callback(driver.wait)
        stack.callback(driver.terminate)
        address = f"http://127.0.0.1:{_wait_for_port(driver, Path(log.name))}/session"
        options = {
            "binary": shutil.which("chromium"),
            "args": [*_FLAGS, f"--user-data-dir={folder}/profile"],
        }
        asked = {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
        session = _call(address, {"capabilities": {"alwaysMatch": asked}})
        url = f"{address}/{session['sessionId']}"
        stack.callback(_call, url, None, "DELETE")
        yield Browser(url)


def _wait_for_port(driver: subprocess.Popen[bytes], log: Path) -> int:
    said = "was started successfully on port "
    deadline = time.monotonic() + 60
    while said not in (written := log.read_text()):
        if driver.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"chromedriver does not start: {written}")
        time.sleep(0.05)
    return int(written.split(said)[1].split(".")[0])


def _call(url: str, parameters: dict[str, Any] | None, method: str = "POST") -> Any:
    body = None if parameters is None else json.dumps(parameters).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"}, method=method)
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(request, timeout=120) as response:
            return json.load(response)["value"]
    except urllib.error.HTTPError as error:
        raise RuntimeError(f"{method} {url}: {json.load(error)['value']['message']}") from None
