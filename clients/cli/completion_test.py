"""What a shell is told: nothing that it would run."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.completion import answer_completion
from cli.main import cli

HOSTILE = ["$(touch x)", "`touch x`", "a;touch x", "a b", "x\nplain,y", "a|b", "~root", "a'b", "&"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
@pytest.mark.parametrize(
    ("line", "good"), [("ktt predict ", "shop"), ("ktt predict shop -m ", "tfidf_hsgd")]
)
def test_names_that_a_shell_would_run_are_not_offered(
    shell: str,
    line: str,
    good: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    pairs = [("tfidf_hsgd", "shop"), *((name, "shop") for name in HOSTILE)]
    for model, dataset in [*pairs, *(("tfidf_hsgd", name) for name in HOSTILE)]:
        folder = tmp_path / "weights" / model / dataset
        folder.mkdir(parents=True)
        (folder / "best_2026-01-01T00:00:00.safetensors").touch()
    monkeypatch.setenv("KTT_WORKSPACE", str(tmp_path))
    monkeypatch.setenv("_KTT_COMPLETE", f"{shell}_complete")
    monkeypatch.setenv("_KTT_LINE", line)
    monkeypatch.setattr("sys.argv", ["ktt"])
    assert answer_completion(cli) == 0
    told = capsys.readouterr().out.split()
    assert [word for word in told if word not in ("plain", "_")] == [
        good if shell == "zsh" else f"plain,{good}"
    ]


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("predict shop -m ", "tfidf_hsgd"),
        ("predict -m tfidf_lsgd ", "pets shop"),
        ("evaluate shop -m ", "tfidf_hsgd all"),
        ("evaluate pets -m tfidf_hsgd,", "tfidf_hsgd,tfidf_lsgd tfidf_hsgd,all"),
        ("export shop,pets -m ", "tfidf_hsgd tfidf_lsgd all"),
        ("report shop -m ", "tfidf_hsgd"),
        ("evaluate shop -t ", "2026-01-01T00:00:00"),
        ("predict pets -m tfidf_lsgd -t ", "2026-01-03T00:00:00"),
        ("predict pets -t ", "2026-01-03T00:00:00 2026-01-02T00:00:00"),
        ("train pets -m tfidf_hsgd --resume -t ", "2026-01-02T00:00:00"),
        ("evaluate -m all pets -t ", "2026-01-03T00:00:00 2026-01-02T00:00:00"),
        ("predict nothing -m ", ""),
        ("predict ../x -m ", ""),
    ],
)
def test_only_what_is_trained_on_the_dataset_of_the_line_is_offered(
    line: str,
    offered: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    trained = [("tfidf_hsgd", "shop"), ("tfidf_hsgd", "pets"), ("tfidf_lsgd", "pets")]
    for day, (model, dataset) in enumerate(trained, 1):
        folder = tmp_path / "weights" / model / dataset
        folder.mkdir(parents=True)
        (folder / f"best_2026-01-0{day}T00:00:00.safetensors").touch()
    monkeypatch.setenv("KTT_WORKSPACE", str(tmp_path))
    monkeypatch.setenv("_KTT_COMPLETE", "bash_complete")
    monkeypatch.setenv("_KTT_LINE", f"ktt {line}")
    monkeypatch.setattr("sys.argv", ["ktt"])
    assert answer_completion(cli) == 0
    told = capsys.readouterr().out.split()
    assert [word.removeprefix("plain,") for word in told] == offered.split()
