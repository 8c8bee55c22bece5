"""Write a workspace as today's code leaves it, for the programs of tomorrow to read.

    ./pants run tests/compatibility/write.py -- tests/compatibility/NAME.tar.xz

A trainer and an exporter import two datasets, train, evaluate and export; the trainer is killed in
the middle of a training job, with another one in the queue. What they leave goes into NAME.tar.xz,
and what is answered on it into NAME.json, to which `compatibility_test.py` holds later programs.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import signal
import sqlite3
import sys
import tarfile
import tempfile
import time
from pathlib import Path

from compatibility.answers import ask
from compatibility.services import Services
from ktt_models.pytorch.encoders.tiny import write_tiny_encoder

TREE = {
    ("Sport", "Shoes", "Running shoes"): ["running shoes", "trail shoes"],
    ("Sport", "Shoes", "Boots"): ["football boots", "hiking boots"],
    ("Sport", "Accessories"): ["shoe laces", "sports bag"],
    ("Music", "Guitars", "Electric"): ["electric guitar", "bass guitar"],
    ("Music", "Guitars", "Acoustic"): ["acoustic guitar", "classical guitar"],
    # A name that stands under another parent too, one beyond ASCII, and one of separators.
    ("Music", "Accessories"): ["guitar strings", "drum sticks"],
    ("Bücher", "Noten"): ["sheet music", "Liederbuch für Gitarre"],
    ("Bücher", 'A > B, "quoted"'): ["odd book", "strange book"],
}
#: What a tiny encoder learns something with.
RATES = ("encoder_lr=0.003", "classifier_lr=0.01", "batch_size=8", "max_len=16")
#: The vocabulary kept small, and with it the files.
FEATURES = ("max_features=300",)


def write_rows(path: Path, n_rows: int = 160) -> None:
    """Write labelled texts as JSON lines, with the split of each."""
    generator = random.Random(0)
    leaves = list(TREE)
    with path.open("w", encoding="utf-8") as file:
        for number in range(n_rows):
            leaf = leaves[number % len(leaves)]
            words = [generator.choice(TREE[leaf]), generator.choice(["red", "blue", "größer"])]
            split = ("val", "test")[number % 2] if number % 5 == 4 else "train"
            row = {"text": f"{' '.join(words)} {number}", "path": list(leaf), "split": split}
            file.write(json.dumps(row, ensure_ascii=False) + "\n")


def write_workspace(workspace: Path, place: Path) -> None:
    """Let the services fill a workspace, and kill them in the middle of it.

    Raises
    ------
    RuntimeError
        If a command fails, or one that must fail does not.
    """
    write_rows(place / "shop.jsonl")
    encoder = write_tiny_encoder(
        place / "tiny", (words for all_ in TREE.values() for words in all_), width=16, layers=1
    )
    services = Services(workspace, place)
    ktt = services.ktt
    columns = ["--text", "text", "--classes", "path", "--split-column", "split"]
    tfidf = ["--set", *FEATURES, "-r"]
    rates = [word for rate in RATES for word in ("--set", rate)]
    try:
        for name in ("shop", "spare", "damaged"):
            ktt("data", "import", place / "shop.jsonl", name, *columns)
        ktt("train", "shop", "-m", "tfidf_hsgd,tfidf_lsgd", "-e", 8, *tfidf)
        ktt("train", "shop", "-m", "db_bhcn", "--encoder", encoder, "-e", 4, "-r", *rates)
        ktt("evaluate", "shop", "-m", "tfidf_hsgd")
        for model, *kind in (
            ("tfidf_hsgd", "--onnx"),
            ("tfidf_hsgd", "--bento"),
            ("db_bhcn", "--quantize", "int8"),
        ):
            ktt("export", "shop", "-m", model, *kind, "--output", place / "fetched")
        rows = workspace / "datasets" / "damaged" / "val.parquet"
        # Behind the first bytes, which are looked at before a job is taken.
        rows.write_bytes(rows.read_bytes()[:20] + bytes(200) + rows.read_bytes()[220:])
        ktt("train", "damaged", "-m", "tfidf_hsgd", code=1)
        begun = ["-m", "db_bhcn", "--encoder", encoder, "-e", 60, *rates, "--detach"]
        ktt("train", "spare", *begun)
        ktt("train", "spare", "-m", "tfidf_hsgd,tfidf_lsgd", *tfidf, "--detach")
        ktt("jobs", "cancel", ktt("jobs", "list")[0]["id"])
        while not list(workspace.glob("weights/db_bhcn/spare/last_*")):
            time.sleep(0.05)
    except BaseException:
        services.stop()
        raise
    services.stop(signal.SIGKILL)


def trim(workspace: Path) -> None:
    """Leave of a bundle its manifest alone, and nothing that can be made again."""
    for bundle in workspace.glob("build/[!.]*"):
        for path in bundle.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            elif path.name != "manifest.json":
                path.unlink()
    shutil.rmtree(workspace / "cache", ignore_errors=True)
    for store in workspace.glob("jobs/*/jobs.sqlite"):
        # What stands in the journal goes into the store, which shrinks to what it holds.
        with sqlite3.connect(store) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            connection.execute("VACUUM")
        connection.close()


def pack(workspace: Path, archive: Path) -> None:
    """Pack a workspace, with no word of the machine and the user that it was written by."""

    def anonymous(member: tarfile.TarInfo) -> tarfile.TarInfo:
        member.uid = member.gid = 0
        member.uname = member.gname = ""
        return member

    with tarfile.open(archive, "w:xz") as file:
        file.add(workspace, "workspace", filter=anonymous)


def main() -> int:
    """Write the two files."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("archive", type=Path, help="NAME.tar.xz, to be written")
    parser.add_argument("--onnx-program", type=Path, default=Path("examples/onnx_predict.py"))
    arguments = parser.parse_args()
    archive: Path = arguments.archive
    with tempfile.TemporaryDirectory(prefix="ktt-") as folder:
        workspace = Path(folder) / "workspace"
        write_workspace(workspace, Path(folder))
        trim(workspace)
        pack(workspace, archive)
        answers = ask(workspace, arguments.onnx_program)
    text = json.dumps(answers, indent=1, ensure_ascii=False)
    archive.with_name(archive.name.removesuffix(".tar.xz") + ".json").write_text(text + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
