"""What a text costs in an encoder model's exported graphs, against the same model in torch.

Takes a Hugging Face encoder under a db_linear head of random weights, which costs what a trained
one does, exports it with its 8-bit form, and answers texts alone and 32 at once: in torch as
KTT's own `predict` does it, with ``model.onnx``, and with ``model.int8.onnx``. Token ids are made
beforehand. All ways take turns on the same texts and threads; the best of five turns counts, since
others use the machine too.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import torch

from ktt_core.config import build_config
from ktt_core.decoding import leaf_log_proba
from ktt_core.model import Batch
from ktt_core.preprocessors.cleaning import clean_texts
from ktt_core.registry import get_model
from ktt_core.taxonomy import Taxonomy
from ktt_models.export.runtime import open_session

_MODEL = "db_linear"
_BATCH_TEXTS = 32
_TEXTS_ALONE = 16
_TURNS = 5


def measure(
    encoder: str, source: Path, max_len: int, threads: int, clock: Callable[[], float]
) -> dict[str, Any]:
    """Export, and time every way."""
    torch.set_num_threads(threads)
    table = pq.read_table(source, columns=["text", "path"])
    paths = table.column("path").to_pylist()
    taxonomy = Taxonomy.from_paths(paths)
    numbers = np.random.default_rng(0).permutation(len(paths))[:_BATCH_TEXTS]
    texts = clean_texts([table.column("text")[int(number)].as_py() for number in numbers])
    codes = np.array([taxonomy.encode(paths[number]) for number in numbers], dtype=np.int32)
    model_class = get_model(_MODEL)
    values = {"encoder": encoder, "max_len": max_len}
    model: Any = model_class(taxonomy, build_config(model_class.config_class, _MODEL, values))
    model.build()
    tokenize = model.preprocessor
    alone, batch = [tokenize([text]) for text in texts[:_TEXTS_ALONE]], [tokenize(texts)]

    def in_torch(inputs: dict[str, Any]) -> Any:
        return leaf_log_proba(model.level_scores(inputs), taxonomy)

    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        started = time.perf_counter()
        model.export_onnx(folder)
        export_s = time.perf_counter() - started
        parity = model.onnx_parity(folder, texts)
        model.quantize_onnx(folder, "int8", [Batch({"text": texts}, codes)])
        names = ("model.onnx", "model.int8.onnx")
        megabytes = {name: (folder / name).stat().st_size / 1e6 for name in names}
        ways: dict[str, Callable[[dict[str, Any]], Any]] = {"torch": in_torch}
        for name in names:
            session = open_session(folder / name, threads)
            ways[name] = partial(session.run, ["log_proba"])
        best = {way: [np.inf, np.inf] for way in ways}
        for _ in range(_TURNS):
            for way, run in ways.items():
                for place, feeds in enumerate((alone, batch)):
                    rows = sum(len(feed["input_ids"]) for feed in feeds)
                    best[way][place] = min(best[way][place], _seconds(run, feeds, clock) / rows)
    return {
        "encoder_parameters": sum(w.numel() for w in model.network.encoder.parameters()),
        "leaves": taxonomy.n_leaves,
        "tokens_a_text": float(batch[0]["attention_mask"].sum() / len(texts)),
        "threads": threads,
        "export_s": round(export_s, 1),
        "largest_difference": parity.max_probability_difference,
        "megabytes": {name: round(size, 1) for name, size in megabytes.items()},
        "ms_alone": {way: round(value[0] * 1e3, 2) for way, value in best.items()},
        "ms_in_a_batch": {way: round(value[1] * 1e3, 2) for way, value in best.items()},
    }


def _seconds(
    run: Callable[[dict[str, Any]], Any], feeds: list[dict[str, Any]], clock: Callable[[], float]
) -> float:
    started = clock()
    for feed in feeds:
        run(feed)
    return clock() - started


def main() -> None:
    """Parse the command line, run, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--encoder", required=True, help="a folder, or a name that is found")
    parser.add_argument(
        "--texts", type=Path, required=True, help="Parquet with the columns text and path"
    )
    parser.add_argument("--max-len", type=int, default=64, help="tokens of a text (64)")
    parser.add_argument("--threads", type=int, default=1, help="that answer (1)")
    parser.add_argument(
        "--processor-time", action="store_true",
        help="count the processor's time, not the clock's: for a busy machine, with one thread",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    clock = time.process_time if options.processor_time else time.perf_counter
    figures = measure(options.encoder, options.texts, options.max_len, options.threads, clock)
    if options.json:
        print(json.dumps(figures, indent=2))
        return
    print(
        f"{figures['encoder_parameters']:,} parameters, {figures['leaves']} leaves, "
        f"{figures['tokens_a_text']:.1f} tokens a text, {figures['threads']} threads; exported in "
        f"{figures['export_s']} s, probabilities differ by {figures['largest_difference']:.1e}"
    )
    for way, alone in figures["ms_alone"].items():
        batched, size = figures["ms_in_a_batch"][way], figures["megabytes"].get(way)
        shown = f"{size:8.1f} MB" if size else ""
        print(f"  {way:<16}{alone:9.2f} ms alone{batched:9.2f} ms of {_BATCH_TEXTS}{shown}")


if __name__ == "__main__":
    main()
