"""A bundle's model without a server: ``bare_loop.py PACKAGE ARTIFACTS BATCH SECONDS``.

Texts come on standard input, one JSON string a line; one process answers them in a loop, BATCH at
once, for so many seconds. Prints texts and seconds as JSON.
"""

from __future__ import annotations

import itertools
import json
import sys
import time
from pathlib import Path


def main() -> None:
    """Parse the command line, run, print."""
    package, artifacts, batch, seconds = sys.argv[1:5]
    # Where BentoML would find them.
    sys.path.insert(0, package)
    from ktt_serving.answers import names_of_paths
    from ktt_serving.scoring import load_scorer

    scorer = load_scorer(Path(artifacts))
    texts = itertools.cycle([json.loads(line) for line in sys.stdin])

    def answer() -> int:
        asked = list(itertools.islice(texts, int(batch)))
        return len(names_of_paths(scorer(asked).log_proba, scorer.taxonomy))

    for _ in range(3):
        answer()
    done, start, cpu = 0, time.perf_counter(), time.process_time()
    while (passed := time.perf_counter() - start) < float(seconds):
        done += answer()
    print(json.dumps({"texts": done, "seconds": passed, "cpu": time.process_time() - cpu}))


if __name__ == "__main__":
    main()
