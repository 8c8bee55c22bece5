"""How many processor seconds `ktt train` takes on few rows, the first time and afterwards.

Each run is the whole tree of processes, user and system. Beside the first run and the second there
is one where no cache can be written, and one as another kind of processor. As the processor's
seconds grow with what else the machine does, each is also given in times that a process takes to
import numpy, measured in turns with it.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROWS = ["alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta"]


def write_rows(path: Path, n_rows: int) -> None:
    """Write texts of 24 classes on three levels as a CSV file."""
    lines = ["text,path"]
    for row in range(n_rows):
        leaf = row % 24
        words = [ROWS[leaf % 3], ROWS[3 + leaf % 4], f"item{leaf}", f"number{row % 97}", "of many"]
        top, middle = leaf % 3, leaf % 12
        lines.append(f"{' '.join(words)},Top {top} > Middle {middle} > Leaf {leaf}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def processor_seconds(command: list[str], environment: dict[str, str]) -> float:
    """Run a command; return the seconds of it and all that it has started and waited for.

    Raises
    ------
    RuntimeError
        If it fails.
    """
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=output)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            output.seek(0)
            raise RuntimeError(f"{' '.join(command)}: {output.read().decode(errors='replace')}")
    return usage.ru_utime + usage.ru_stime


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument(
        "--ktt",
        help="the program to measure, such as dist/clients.cli/ktt.pex/__main__.py "
        "(default: this one)",
    )
    parser.add_argument("--rows", type=int, default=200, help="rows of the file (default: 200)")
    parser.add_argument("--model", default="tfidf_hsgd", help="(default: tfidf_hsgd)")
    parser.add_argument("--repeats", type=int, default=3, help="of the runs after the first")
    arguments = parser.parse_args()
    here = {name: value for name, value in os.environ.items() if name != "NUMBA_CACHE_DIR"}
    if arguments.ktt:
        ktt = [arguments.ktt]
    else:
        ktt = [sys.executable, "-m", "cli.main"]
        here["PYTHONPATH"] = os.pathsep.join(sys.path)
    control = [sys.executable, "-c", "import numpy"]
    with tempfile.TemporaryDirectory(prefix="ktt-startup-") as folder:
        place = Path(folder)
        write_rows(place / "rows.csv", arguments.rows)
        workspace = [*ktt, "--workspace", str(place / "workspace")]
        source = ["data", "import", str(place / "rows.csv"), "few", "--text", "text"]
        processor_seconds([*workspace, *source, "--classes", "path", "--sep", " > "], here)
        train = [*workspace, "train", "few", "-m", arguments.model]
        cached = {**here, "XDG_CACHE_HOME": str(place / "cache")}
        for name, environment, repeats in (
            ("first run", cached, 1),
            ("afterwards", cached, arguments.repeats),
            ("no cache can be written", {**here, "XDG_CACHE_HOME": os.devnull}, 1),
            ("another processor, first", {**cached, "NUMBA_CPU_NAME": "generic"}, 1),
            ("another processor, afterwards", {**cached, "NUMBA_CPU_NAME": "generic"}, 1),
        ):
            pairs = [
                (processor_seconds(train, environment), processor_seconds(control, environment))
                for _ in range(repeats)
            ]
            seconds, unit = min(pairs)
            print(f"{name:32}{seconds:6.2f} s {seconds / unit:6.1f} x import numpy", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
