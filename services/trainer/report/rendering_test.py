"""The page: well-formed, self-contained, safe with any name, small and reproducible."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest

from ktt_core.diagnostics import SplitDiagnostics
from ktt_core.metrics import compute_metrics
from ktt_core.taxonomy import MAX_NAME_LENGTH, Taxonomy
from trainer.report import ReportData, render_report, write_report

SHOP = [("Food", "Bread"), ("Food", "Pasta", "Long"), ("Food", "Pasta", "Short"), ("Bikes",)]
HOSTILE = [
    ("<script>alert(1)</script>", "</style><img src=x onerror=alert(1)>", "x" * MAX_NAME_LENGTH),
    ("<!--", "' onmouseover='alert(1)", "</script><script src=//evil.example/x.js>"),
    ('"><svg onload=alert(1)>', "{{ 7 * 7 }}", "{% raw %}"),
    ("\u202egnp.exe", "https://evil.example/", "&lt;b&gt; & <b>"),
]
VOID = {"meta", "br", "img", "link", "input", "hr"}
# In SVG these elements are empty and self-closing.
DRAWN = {"path", "rect", "circle"}


def make_facts(
    paths: Any = SHOP, rows: int = 300, split: str = "test", noise: float = 2.5, **more: Any
) -> ReportData:
    taxonomy = Taxonomy.from_paths(paths)
    rng = np.random.default_rng(0)
    diagnostics = SplitDiagnostics(taxonomy, 1.4)
    for start in range(0, rows, 100):
        leaves = rng.integers(0, taxonomy.n_leaves, min(100, rows - start))
        scores = noise * rng.normal(size=(len(leaves), taxonomy.n_leaves))
        scores[np.arange(len(leaves)), leaves] += 5.0
        diagnostics([scores], taxonomy.leaf_codes[leaves])
    figures = {"leaf_accuracy": 0.9, "hierarchical_f1": 0.95, "my_own": 1.5}
    known = {
        "dataset": "shop",
        "model": "tfidf_hsgd",
        "split_rows": {"train": 100, "val": 30, "test": rows if split == "test" else 0},
        "train_rows": np.arange(taxonomy.n_leaves) * 7,
        "config": {"seed": 3, "encoder": "https://evil.example/<b>", "ngrams": [1, 2]},
        "defaults": {"seed": 3, "encoder": "distilbert", "ngrams": [1, 2]},
        "metrics": {"val": figures, "test": figures} if split == "test" else {"val": figures},
        "diagnostics": diagnostics if rows else None,
        "split": split,
        "history": [
            {"epoch": float(n), "step": 10.0 * n, "loss": 1.0 / n, "hierarchical_f1": 1 - 0.5 / n}
            for n in range(1, 6)
        ],
        "checkpoint": "best_2026-01-31T12:34:56.safetensors",
        "started": "2026-01-31T12:34:56Z",
        "seconds": 75.0,
        "device": "cpu",
        "fingerprint": "sha256:abc",
        "versions": {"python": "3.11.7"},
    }
    return ReportData(taxonomy=taxonomy, **{**known, **more})


class Page(HTMLParser):
    """The page's elements, checked to be properly nested."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text: list[str] = []
        self.scripts: list[str] = []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        assert tag in DRAWN, tag
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open and self.open.pop() == tag, f"</{tag}> closes nothing"

    def handle_data(self, data):
        kind = self.open[-1] if self.open else ""
        if kind == "script":
            self.scripts.append(data)
        elif kind != "style":
            self.text.append(data)

    def words(self) -> str:
        return re.sub(r"[ \n]+", " ", " ".join(self.text))

    def data(self) -> dict[str, Any]:
        return json.loads("".join(self.scripts))


ALL = {
    "a tree": lambda: make_facts(),
    "hostile names": lambda: make_facts(HOSTILE),
    "one level": lambda: make_facts([("spam",), ("ham",), ("news",)]),
    "no test rows": lambda: make_facts(split="val"),
    "no rows at all": lambda: make_facts(rows=0, metrics={}),
    "one row": lambda: make_facts(rows=1),
    "no mistakes": lambda: make_facts(noise=0.0),
    "nothing but mistakes": lambda: make_facts(noise=500.0, rows=5),
    "no history": lambda: make_facts(history=()),
    "nothing optional": lambda: ReportData(
        "d", "m", Taxonomy.from_paths(SHOP), {"train": 3}, np.zeros(4, int), {}
    ),
}


@pytest.mark.parametrize("name", ALL)
def test_the_page_is_well_formed_and_self_contained(name):
    text = render_report(ALL[name]())
    assert text.startswith("<!DOCTYPE html>")
    page = Page(text)
    scripts = [attributes for tag, attributes in page.elements if tag == "script"]
    assert scripts == [{"type": "application/json", "id": "report-data"}]
    for tag, attributes in page.elements:
        assert tag not in {"link", "img", "iframe", "object", "embed", "base", "form", "image"}
        assert not any(key.startswith("on") for key in attributes)
        assert not {"src", "srcset", "xlink:href", "action"} & set(attributes)
        assert str(attributes.get("href", "#")).startswith("#")
    style = text[text.index("<style>") : text.index("</style>")]
    assert "url(" not in style and "@import" not in style and "//" not in style
    policy = [str(a["content"]) for t, a in page.elements if a.get("http-equiv")]
    assert policy and policy[0].startswith("default-src 'none'")


@pytest.mark.parametrize("name", ALL)
def test_ids_are_unique_and_references_are_valid(name):
    page = Page(render_report(ALL[name]()))
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    for _, attributes in page.elements:
        wanted = (attributes.get("aria-labelledby") or "").split()
        if attributes.get("href"):
            wanted.append(str(attributes["href"])[1:])
        assert set(wanted) <= set(ids)


@pytest.mark.parametrize("name", ALL)
def test_the_same_facts_give_the_same_page(name):
    assert render_report(ALL[name]()) == render_report(ALL[name]())


def test_every_chart_has_a_description_for_screen_readers():
    page = Page(render_report(make_facts()))
    charts = [a for tag, a in page.elements if tag == "svg" and a.get("role") == "img"]
    assert len(charts) == 6
    assert [tag for tag, _ in page.elements].count("desc") == len(charts)
    assert all(a.get("aria-hidden") for tag, a in page.elements if tag == "svg" and a not in charts)


def test_hostile_names_are_shown_and_never_markup():
    text = render_report(make_facts(HOSTILE))
    page = Page(text)
    allowed = {tag for tag, _ in Page(render_report(make_facts())).elements}
    assert {tag for tag, _ in page.elements} <= allowed
    words = page.words()
    assert "<script>alert(1)</script>" in words
    assert "{{ 7 * 7 }}" in words and "{% raw %}" in words and " 49 " not in words
    assert "\u202e" not in words, "it would change the writing direction of adjacent text"
    # The JSON has the names unchanged, and ends where it should.
    paths = [entry["path"] for entry in page.data()["classes"]["rarest"]]
    assert sorted(map(tuple, paths)) == sorted(HOSTILE)
    assert text.count("</script") == 1


def test_the_json_has_the_values_of_the_diagnostics():
    facts = make_facts()
    data = Page(render_report(facts)).data()
    found = facts.diagnostics
    assert found is not None
    assert data["calibration"]["after"]["error"] == found.calibration.error()
    assert data["calibration"]["before"]["error"] == found.raw_calibration.error()
    assert sum(row["rows"] for row in data["calibration"]["after"]["bins"]) == found.rows
    assert data["metrics"] == facts.metrics and data["config"] == facts.config
    assert data["levels"][0]["accuracy"] == found.counts.level(0)[0].sum() / found.rows
    assert len(data["answers"]) == len(found.answers.shares())
    wrong = found.confusions.rows
    shown = data["confusions"]["siblings"] + data["confusions"]["elsewhere"]
    assert sum(p["first_as_second"] + p["second_as_first"] for p in shown) == wrong


def test_non_finite_values_are_null():
    facts = make_facts(metrics={"test": {"leaf_accuracy": float("nan")}})
    page = Page(render_report(facts))
    assert page.data()["metrics"] == {"test": {"leaf_accuracy": None}}
    assert "nan" not in page.words().lower()


def test_the_summary_has_the_metrics():
    facts = make_facts(rows=1000)
    assert facts.diagnostics is not None
    metrics = {"leaf_accuracy": facts.diagnostics.counts.leaves()[0].sum() / 1000}
    words = Page(render_report(facts)).words()
    assert f"{100 * metrics['leaf_accuracy']:.1f}\u202f% of 1,000 test texts" in words
    assert "my_own" in words and "1.5000" in words
    assert "encoder" in words and "distilbert" in words
    assert "2026-01-31 12:34:56 UTC" in words and "1\u00a0min 15\u00a0s" in words


def test_missing_data_is_left_out():
    words = Page(render_report(make_facts(rows=0, metrics={}))).words()
    assert "Nothing is known of how good this model is" in words
    assert "Confused classes" not in words and "Level by level" not in words
    words = Page(render_report(make_facts([("spam",), ("ham",)]))).words()
    assert "Level by level" not in words and "shorter paths" not in words
    words = Page(render_report(make_facts(split="val"))).words()
    assert "There are no test texts" in words and "300 validation texts" in words


def test_a_report_on_ten_thousand_leaves_is_small():
    paths = [
        (f"{n // 500}", f"{n // 20}", f"{n}".ljust(MAX_NAME_LENGTH, "é")) for n in range(10_000)
    ]
    short = [tuple(name[:20] for name in path) for path in paths]
    assert len(render_report(make_facts(short, 1000)).encode()) < 150_000
    # The longest names allowed.
    assert len(render_report(make_facts(paths, 1000)).encode()) < 400_000


def test_a_long_run_is_drawn_with_few_points():
    history = [{"step": n, "loss": 1.0 / (n + 1), "learning_rate": 1e-4} for n in range(30_000)]
    text = render_report(make_facts(history=history))
    assert len(text) < 150_000
    longest = max(len(path) for path in re.findall(r' d="(M[^"]*)"', text))
    assert longest < 240 * 12


def test_numbers_are_those_of_the_metrics():
    taxonomy = Taxonomy.from_paths(SHOP)
    rng = np.random.default_rng(1)
    log_proba = np.log(rng.dirichlet(np.ones(taxonomy.n_leaves), 200)).astype(np.float32)
    codes = taxonomy.leaf_codes[rng.integers(0, taxonomy.n_leaves, 200)]
    diagnostics = SplitDiagnostics(taxonomy)
    diagnostics([log_proba], codes)
    metrics = compute_metrics(log_proba, codes, taxonomy)
    data = Page(render_report(make_facts(diagnostics=diagnostics))).data()
    assert data["calibration"]["after"]["error"] == pytest.approx(
        metrics["calibration_error"], abs=1e-5
    )
    path_accuracy = np.mean([level["accuracy"] for level in data["levels"]])
    assert path_accuracy == pytest.approx(metrics["path_accuracy"])


def test_the_file_is_written_and_replaced_atomically(tmp_path):
    path = tmp_path / "last_2026-01-31T12:34:56_report.html"
    write_report(path, make_facts())
    first = path.read_text(encoding="utf-8")
    assert first == render_report(make_facts())
    write_report(path, make_facts(HOSTILE))
    assert path.read_text(encoding="utf-8") != first
    assert list(tmp_path.iterdir()) == [path]
