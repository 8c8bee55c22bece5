"""The report in a browser, if one is installed: names of classes and features stay text."""

from __future__ import annotations

import os
import shutil
import subprocess
from html.parser import HTMLParser

import pytest

from monitoring import reports
from monitoring.monitors_test import Watched

OWNED = "document.title='owned'"
HOSTILE = (
    f"</script><script>{OWNED}</script>",
    f"<img src=x onerror={OWNED}>",
    f'"><svg onload={OWNED}>',
    f"&lt;img src=x onerror={OWNED}&gt;",
    f'<a href="javascript:{OWNED}">here</a>',
    f"{{{{constructor.constructor('{OWNED}')()}}}}",
    f"${{{OWNED}}}`;{OWNED};'",
    "\\u003cimg src=x\\u003e",
    "=HYPERLINK('x')",
)


@pytest.mark.skipif(shutil.which("chromium") is None, reason="no browser")
def test_names_are_no_markup_and_no_program_in_a_browser(tmp_path):
    watched = Watched(tmp_path, classes=HOSTILE)
    _, records = watched.records(40)
    monitors = ("data_drift", "cat_target_drift", "prob_classification_performance")
    page = reports.render(
        {"rows": "40"}, {monitor: watched.run(monitor, records).widgets for monitor in monitors}
    )
    path = tmp_path / "report.html"
    path.write_text(page, encoding="utf-8")
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    options += ["--disable-component-update", "--disable-sync", f"--user-data-dir={tmp_path / 'u'}"]
    done = subprocess.run(
        # Long enough for the page's scripts to draw all of it.
        ["chromium", *options, "--virtual-time-budget=20000", "--dump-dom", path.as_uri()],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "HOME": str(tmp_path)},
    )
    assert done.returncode == 0, done.stderr
    seen = Page(done.stdout)
    # The scripts have run: what they draw is there.
    assert "Drift in column" in seen.text
    assert seen.title != "owned"
    assert [found for found in seen.elements if is_active(*found)] == []


def is_active(tag, attributes):
    """Whether an element runs or loads something, beyond the page's own scripts."""
    names = {name for name, _ in attributes}
    addresses = [value or "" for name, value in attributes if name in ("href", "src", "xlink:href")]
    return (
        any(name.startswith("on") for name in names)
        or (tag in ("img", "iframe", "object", "embed", "link") and bool(addresses))
        or any(address.startswith("javascript:") for address in addresses)
    )


class Page(HTMLParser):
    """The elements of a page as a browser has them, and the text outside its scripts."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.text, self.title, self._in = [], "", "", ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, attrs))
        self._in = tag

    def handle_data(self, data):
        if self._in == "title":
            self.title += data
        elif self._in not in ("script", "style"):
            self.text += data
