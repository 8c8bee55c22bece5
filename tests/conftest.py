"""What tests of the whole command line share: a workspace, and `ktt` called as a user calls it."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from cli.main import run

TREE = {
    ("Sport", "Shoes"): ["running shoes", "trail shoes", "football boots", "tennis shoes"],
    ("Sport", "Balls"): ["football", "basket ball", "tennis ball", "volley ball"],
    ("Music", "Guitars"): ["electric guitar", "acoustic guitar", "bass guitar", "guitar strings"],
    ("Music", "Drums"): ["drum kit", "snare drum", "drum sticks", "cymbal"],
}


@dataclass(frozen=True)
class Outcome:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output as JSON."""
        return json.loads(self.out)


Ktt = Callable[..., Outcome]


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """Return a workspace that nothing has written to."""
    return tmp_path / "workspace"


@pytest.fixture
def ktt(workspace: Path, capfd: pytest.CaptureFixture[str]) -> Ktt:
    """Return a function that runs `ktt` on the workspace."""

    def call(*arguments: object) -> Outcome:
        capfd.readouterr()
        code = run(["--workspace", str(workspace), *map(str, arguments)])
        captured = capfd.readouterr()
        return Outcome(code, captured.out, captured.err)

    return call


def rows(count: int = 160) -> list[tuple[str, tuple[str, ...]]]:
    """Return labelled texts that a model can learn."""
    generator = random.Random(0)
    leaves = list(TREE)
    return [
        (
            f"{generator.choice(TREE[leaf])} {generator.choice(['red', 'blue', 'new'])} {number}",
            leaf,
        )
        for number in range(count)
        for leaf in [leaves[number % len(leaves)]]
    ]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Return a CSV file of labelled texts."""
    file = tmp_path / "shop.csv"
    lines = ["title,category", *(f"{text},{' > '.join(path)}" for text, path in rows())]
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file


@pytest.fixture
def shop(ktt: Ktt, source: Path) -> str:
    """Import the dataset "shop" and return its name."""
    done = ktt(
        "data", "import", source, "shop", "--text", "title", "--classes", "category", "--sep", " > "
    )
    assert done.code == 0, done.err
    return "shop"
