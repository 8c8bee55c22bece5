"""What the constraints of C-HMCNN (MCM) and AWX cost, against their naive dense form.

Computes the loss of random leaf and class scores under a random taxonomy of three levels, and its
gradient, each in two ways: as the heads of db_achmcnn and db_bhcn_awx do it, up the tree level by
level; and as the papers' code does, through a tensor of (rows, classes, classes) or (rows, classes,
leaves). Both must agree. Times are the best of several turns, the two forms taking turns in one
process; peak memory is that of a new process that computes one of them once, above what it held
before (read from /proc).
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ktt_core.config import build_config
from ktt_core.taxonomy import Taxonomy
from ktt_models.db_achmcnn.db_achmcnn import ACHMCNNHead, DBACHMCNNConfig
from ktt_models.db_bhcn_awx.db_bhcn_awx import AWXHead, DBBHCNAWXConfig
from ktt_models.pytorch import dense_reference

#: A loss and its gradient.
Computed = tuple[Tensor, Tensor]

NORM = 5
FORMS = ("tree", "dense")
# Tensors of (rows, classes, classes) that the dense form holds at once, in its backward pass.
_HELD_AT_ONCE = 4


def make_taxonomy(n_classes: int) -> Taxonomy:
    """Return a taxonomy of three levels and so many classes, with about ten children each."""
    top = max(1, n_classes // 111)
    middle = max(top, 10 * n_classes // 111)
    leaves = n_classes - middle - top
    return Taxonomy.from_paths(
        (f"{leaf * middle // leaves * top // middle}", f"{leaf * middle // leaves}", f"{leaf}")
        for leaf in range(leaves)
    )


def make_work(constraint: str, form: str, n_classes: int, rows: int) -> Callable[[], Computed]:
    """Return what computes a loss and its gradient in one of the forms."""
    taxonomy = make_taxonomy(n_classes)
    generator = torch.Generator().manual_seed(0)
    leaves = torch.randint(taxonomy.n_leaves, (rows,), generator=generator)
    codes = torch.as_tensor(taxonomy.leaf_codes)[leaves].long()
    width = taxonomy.n_classes if constraint == "MCM" else taxonomy.n_leaves
    logits = torch.randn(rows, width, generator=generator)
    loss = _mcm_loss(taxonomy, form) if constraint == "MCM" else _awx_loss(taxonomy, form)

    def compute() -> Computed:
        scores = logits.clone().requires_grad_()
        value = loss(scores, codes)
        (gradient,) = torch.autograd.grad(value, scores)
        return value.detach(), gradient

    return compute


def _mcm_loss(taxonomy: Taxonomy, form: str) -> Callable[[Tensor, Tensor], Tensor]:
    head = ACHMCNNHead(
        1, taxonomy, build_config(DBACHMCNNConfig, "db_achmcnn", {"h_layer_count": 1})
    )
    if form == "tree":
        return head.loss
    below = dense_reference.descendants(taxonomy)

    def loss(logits: Tensor, codes: Tensor) -> Tensor:
        Y = head.hierarchy.ancestor_sets(codes)
        return dense_reference.mcloss(logits.sigmoid(), Y, below)

    return loss


def _awx_loss(taxonomy: Taxonomy, form: str) -> Callable[[Tensor, Tensor], Tensor]:
    # The levels' own losses are not what is compared.
    values = {"awx_norm": NORM, "lambda_l": 0.0}
    head = AWXHead(1, taxonomy, build_config(DBBHCNAWXConfig, "db_bhcn_awx", values))
    bias = head.start_bias
    if form == "tree":
        return lambda logits, codes: head.scores_loss(logits + bias, codes)
    below = dense_reference.leaves_below(taxonomy)

    def loss(logits: Tensor, codes: Tensor) -> Tensor:
        Y = head.hierarchy.ancestor_sets(codes)
        return dense_reference.awx_loss((logits + bias).sigmoid(), Y, below, NORM, eps=1e-6)

    return loss


def _peak(constraint: str, form: str, n_classes: int, rows: int, results: Any) -> None:
    torch.set_num_threads(1)
    # The libraries' own buffers come with their first use.
    make_work(constraint, form, 50, 2)()
    work = make_work(constraint, form, n_classes, rows)
    before = _most_held()
    work()
    results.put(_most_held() - before)


def _most_held() -> int:
    """Return the most bytes this process has held; getrusage would count its parent's too."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return 1024 * int(line.split()[1])
    raise SystemExit("/proc/self/status says nothing of the memory held (VmHWM)")


def peak_memory(constraint: str, form: str, n_classes: int, rows: int) -> int:
    """Return the bytes that computing a loss and gradient once takes at most, in a new process.

    Raises
    ------
    SystemExit
        If that process fails.
    """
    context = multiprocessing.get_context("spawn")
    results = context.SimpleQueue()
    process = context.Process(target=_peak, args=(constraint, form, n_classes, rows, results))
    process.start()
    process.join()
    if process.exitcode != 0:
        raise SystemExit(f"measuring the memory of {constraint}, {form}, failed")
    return int(results.get())


def compare(constraint: str, n_classes: int, rows: int, repeats: int, limit: int) -> dict[str, Any]:
    """Compute in both forms, and measure them.

    The dense form is left out where it would take more than `limit` bytes.

    Raises
    ------
    SystemExit
        If the two forms disagree.
    """
    would_take = _HELD_AT_ONCE * rows * n_classes**2 * 4
    forms = FORMS if would_take <= limit else FORMS[:1]
    works = {form: make_work(constraint, form, n_classes, rows) for form in forms}
    seconds = dict.fromkeys(forms, float("inf"))
    computed: dict[str, Computed] = {}
    for turn in range(repeats):
        for form, work in works.items():
            # Of work that takes seconds, one turn is enough.
            if turn and seconds[form] > 1.0:
                continue
            start = time.perf_counter()
            computed[form] = work()
            seconds[form] = min(seconds[form], time.perf_counter() - start)
    if "dense" in works:
        for mine, theirs in zip(computed["tree"], computed["dense"], strict=True):
            if not torch.allclose(mine, theirs, rtol=1e-3, atol=1e-6):
                raise SystemExit(f"{constraint}: the two forms disagree at {n_classes:,} classes")
    peaks = {form: peak_memory(constraint, form, n_classes, rows) for form in forms}
    figures: dict[str, Any] = {
        "constraint": constraint,
        "classes": n_classes,
        "ns_per_score": 1e9 * seconds["tree"] / (rows * n_classes),
        "dense_would_take_bytes": would_take,
    }
    for form in forms:
        figures[form] = {"seconds": seconds[form], "peak_bytes": peaks[form]}
    if "dense" in works:
        figures["ratio"] = seconds["dense"] / seconds["tree"]
    return figures


def _show(figures: dict[str, Any]) -> None:
    def columns(form: str) -> str:
        if form not in figures:
            return f"{'-':>12}{'-':>12}"
        values = figures[form]
        return f"{values['seconds'] * 1e3:>9.2f} ms{values['peak_bytes'] / 1e6:>9,.1f} MB"

    ratio = f"{figures['ratio']:>9,.0f}x" if "ratio" in figures else f"{'-':>10}"
    print(
        f"{figures['constraint']:6}{figures['classes']:>8,}{columns('tree')}"
        f"{figures['ns_per_score']:>9.1f} ns{columns('dense')}{ratio}"
    )
    if "dense" not in figures:
        print(f"      (dense left out: about {figures['dense_would_take_bytes'] / 1e9:,.1f} GB)")


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line, run, and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=16, help="texts of a batch (default: 16)")
    parser.add_argument(
        "--classes",
        type=int,
        nargs="+",
        default=[100, 1_000, 5_000],
        help="classes of the taxonomies (default: 100 1000 5000)",
    )
    parser.add_argument("--repeats", type=int, default=30, help="turns of which the best counts")
    parser.add_argument("--threads", type=int, default=1, help="processor threads (default: 1)")
    parser.add_argument(
        "--limit-gb",
        type=float,
        default=8.0,
        help="leave the dense form out where it would take more memory (default: 8)",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args(arguments)
    if min(options.rows, options.repeats, options.threads) < 1 or min(options.classes) < 10:
        parser.error("--rows, --repeats and --threads are at least 1, --classes at least 10")
    torch.set_num_threads(options.threads)
    if not options.json:
        print(f"forward + backward of the loss, {options.rows} rows, {options.threads} thread(s)\n")
        heading = f"{'':6}{'classes':>8}{'tree':>12}{'peak':>12}{'per score':>12}"
        print(f"{heading}{'dense':>12}{'peak':>12}{'ratio':>10}")
    found = []
    for constraint in ("MCM", "AWX"):
        for n_classes in options.classes:
            figures = compare(
                constraint, n_classes, options.rows, options.repeats, int(options.limit_gb * 1e9)
            )
            found.append(figures)
            if not options.json:
                _show(figures)
    if options.json:
        print(json.dumps({"rows": options.rows, "threads": options.threads, "runs": found}))


if __name__ == "__main__":
    main()
