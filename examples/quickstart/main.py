"""Train a classifier of diagnoses on the ICD-10-CM list and ask it three questions.

Every step is a `ktt` command, shown before it runs, so that each can be tried by hand afterwards.
"""

from __future__ import annotations

import argparse
import shlex
import sys
import tempfile
import time
from pathlib import Path

from cli.main import run
from quickstart.icd10cm import PATH, TEXT, write_source

QUESTIONS = (
    "Sprain of the left ankle, first visit",
    "Type 2 diabetes with poorly controlled blood sugar and diabetic retinopathy",
    "Persistent cough and wheezing, known asthma with acute exacerbation",
)

_NEXT = """ What to try next, with `ktt` = ./pants run clients/cli:ktt --

  ktt predict icd10cm -m tfidf_hsgd --min-confidence 0.8 "pain in the chest"
  ktt train icd10cm -m tfidf_hsgd,tfidf_lsgd      compare the two models
  ktt models tfidf_hsgd                           what can be tuned
  ktt data import --help                          your own texts: docs/user-guide.md
"""


def main() -> int:
    """Run the quickstart and return its exit code."""
    parser = argparse.ArgumentParser(prog="quickstart", description=__doc__)
    parser.add_argument(
        "--workspace",
        default="workspace",
        help="where the dataset and the model go (default: ./workspace)",
    )
    parser.add_argument(
        "--rows",
        type=int,
        help="use about this many of the 83,000 texts, for a quick try (default: all)",
    )
    arguments = parser.parse_args()
    started = time.monotonic()
    print(
        "ICD-10-CM: 83,000 descriptions of diagnoses under chapter / block / category.\n",
        flush=True,
    )
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "icd10cm.parquet")
        write_source(source, arguments.rows)
        columns = ["--text", TEXT, "--classes", PATH]
        steps = [
            ["data", "import", str(source), "icd10cm", *columns, "--dedupe", "--replace"],
            ["train", "icd10cm", "-m", "tfidf_hsgd", "-e", "4"],
            ["evaluate", "icd10cm", "-m", "tfidf_hsgd"],
            ["predict", "icd10cm", "-m", "tfidf_hsgd", "--top-k", "2", *QUESTIONS],
        ]
        for step in steps:
            print(f"\n$ ktt {shlex.join(step)}", flush=True)
            code = run(["--workspace", arguments.workspace, *step])
            if code:
                print(f"the quickstart stopped: `ktt {step[0]}` ended with {code}", file=sys.stderr)
                return code
    print(f"\nDone in {time.monotonic() - started:.0f} s.{_NEXT}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
