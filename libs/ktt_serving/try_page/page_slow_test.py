"""The page in a real browser, against answers put into its mouth."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from ktt_serving.try_page.browser import Browser, browser, missing_programs
from ktt_serving.try_page.canned_service import CannedService, canned_service

_PATHS = [
    (["Food", "Pasta", "Spaghetti"], 0.7),
    (["Food", "Pasta", "Penne"], 0.15),
    (["Food", "Bread", "Rye"], 0.05),
    (["Garden", "Tools", "Rakes"], 0.0004),
]
_HOSTILE = "<img src=x onerror=\"document.title='taken'\">"
_ROWS = """
const said = item => item.getAttribute('aria-labelledby').split(' ').map(
  id => document.getElementById(id).textContent)
return [...document.querySelectorAll('#tree [role=treeitem]')].map(
  item => [Number(item.getAttribute('aria-level')), said(item).join(': ')])
"""
_ANSWERED = "return !document.getElementById('answer').hidden"
_FAILED = "return document.getElementById('error').textContent"
_FOCUS = """
const focused = document.activeElement
return focused.querySelector('.name')?.textContent ?? focused.id
"""


@pytest.fixture(scope="module")
def window() -> Iterator[Browser]:
    if missing := missing_programs():
        if os.environ.get("KTT_REQUIRE_BROWSER", "0") not in ("", "0"):
            pytest.fail(f"not installed: {', '.join(missing)}")
        pytest.skip(f"not installed: {', '.join(missing)} (KTT_REQUIRE_BROWSER=1: a failure)")
    with browser() as opened:
        yield opened


@pytest.fixture
def service(window: Browser) -> Iterator[CannedService]:
    with canned_service() as started:
        started.model = {
            "model": "DB-BHCN",
            "dataset": "groceries",
            "version": "20260131T123456",
            "leaves": 74700,
            "depth": 3,
        }
        started.predict(*_PATHS)
        window.resize(1280, 900)
        window.complaints()
        yield started


def open_page(window: Browser, service: CannedService) -> None:
    window.go(service.url)
    window.wait("return !document.getElementById('send').disabled")


def ask(window: Browser, text: str = "spaghetti no. 5") -> None:
    window.type("#text", text)
    window.press("Control", "Enter")


def test_a_text_gets_its_path_and_the_alternatives_as_a_tree(
    window: Browser, service: CannedService
) -> None:
    open_page(window, service)
    ask(window, "two pounds of spaghetti, 2 €")
    window.wait(_ANSWERED)
    path = window.run("return [...document.querySelectorAll('#path li')].map(i => i.textContent)")
    assert path == ["Food", "Pasta", "Spaghetti"]
    assert window.run("return document.getElementById('path-note').textContent") == (
        "Probability 70.0 %."
    )
    assert window.run(_ROWS) == [
        [1, "Food: ≥ 90.0 %"],
        [2, "Pasta: ≥ 85.0 %"],
        [3, "Spaghetti: 70.0 %"],
        [3, "Penne: 15.0 %"],
        [2, "Bread: ≥ 5.0 %"],
        [3, "Rye: 5.0 %"],
        [1, "Garden: ≥ 0.0 %"],
        [2, "Tools: ≥ 0.0 %"],
        [3, "Rakes: < 0.1 %"],
    ]
    widths = window.run(
        "return [...document.querySelectorAll('.bar')].slice(0, 3).map("
        "bar => bar.firstChild.getBoundingClientRect().width / bar.getBoundingClientRect().width)"
    )
    assert widths == pytest.approx([0.9, 0.85, 0.7], abs=0.3)  # the bars may still be growing
    assert window.run("return document.getElementById('status').textContent") == (
        "Food, Pasta, Spaghetti: 70.0 %"
    )
    assert service.questions == [
        {"text": "two pounds of spaghetti, 2 €", "top_k": 5, "min_confidence": 0}
    ]


def test_no_class_looks_less_probable_than_one_below_it(
    window: Browser, service: CannedService
) -> None:
    service.predict((["Food", "Pasta"], 0.07557))
    open_page(window, service)
    ask(window)
    window.wait(_ANSWERED)
    assert window.run(_ROWS) == [[1, "Food: ≥ 7.5 %"], [2, "Pasta: 7.5 %"]]
    note = window.run("return document.getElementById('tree-note').textContent")
    assert note.endswith("All that is not shown has at most 92.5 %.")


def test_nothing_breaks_a_strict_content_security_policy(
    window: Browser, service: CannedService
) -> None:
    open_page(window, service)
    ask(window)
    window.wait(_ANSWERED)
    assert window.complaints() == []


def test_a_text_is_in_no_address(window: Browser, service: CannedService) -> None:
    open_page(window, service)
    ask(window, "secret")
    window.wait(_ANSWERED)
    window.click("#send")
    window.wait("return !document.getElementById('question').hasAttribute('aria-busy')")
    assert "secret" not in window.run("return location.href")
    assert not [address for address in service.addresses if "secret" in address]
    # Every address is below the prefix that a proxy put before the service.
    assert {address.startswith("/models/food/") for address in service.addresses} == {True}


def test_a_slash_behind_the_address_is_no_matter(window: Browser, service: CannedService) -> None:
    service.url += "/"
    open_page(window, service)
    ask(window)
    window.wait(_ANSWERED)
    assert set(service.addresses) == {
        f"/models/food/{name}"
        for name in (
            *("try/", "try/app.js", "try/style.css", "try/icon.svg"),
            *("model", "predict_proba"),
        )
    }


def test_names_that_look_like_markup_stay_text(window: Browser, service: CannedService) -> None:
    assert service.model is not None
    service.model.update(model=_HOSTILE, dataset=_HOSTILE)
    service.predict(([_HOSTILE, "</ul><script>document.title='taken'</script>"], 0.9))
    open_page(window, service)
    ask(window)
    window.wait(_ANSWERED)
    service.answer = (400, b'{"error": "<img src=x onerror=alert(1)>"}')
    window.click("#send")
    window.wait(_FAILED)
    assert window.run("return document.querySelectorAll('img, main script').length") == 0
    assert [name for _, name in window.run(_ROWS)][0] == f"{_HOSTILE}: ≥ 90.0 %"
    assert "onerror=alert" in window.run(_FAILED)
    assert window.run("return document.title") != "taken"


def test_the_controls_reach_the_service_and_an_answer_follows_them(
    window: Browser, service: CannedService
) -> None:
    service.predict((["Food", "Pasta"], 0.85), (["Food"], 0.95))
    open_page(window, service)
    window.run("document.getElementById('min-confidence').focus()")
    window.press("End")
    window.press("ArrowLeft")
    ask(window, "penne")
    window.wait(_ANSWERED)
    window.run("document.getElementById('top-k').select()")
    window.type("#top-k", "12")
    window.press("Tab")
    service.wait_for_questions(2)
    window.wait("return document.querySelector('[aria-busy]') === null")
    assert service.questions[0] == {"text": "penne", "top_k": 5, "min_confidence": 0.99}
    assert service.questions[-1] == {"text": "penne", "top_k": 12, "min_confidence": 0.99}
    # A path that ends above others' end says its class' own probability.
    assert window.run(_ROWS) == [[1, "Food: 95.0 %"], [2, "Pasta: 85.0 %"]]
    assert window.run("return document.getElementById('min-confidence-value').textContent") == (
        "99 %"
    )


def test_no_class_that_is_sure_enough_is_an_answer_too(
    window: Browser, service: CannedService
) -> None:
    service.predict(([], 1.0))
    open_page(window, service)
    ask(window)
    window.wait(_ANSWERED)
    assert "No class reaches" in window.run("return document.getElementById('answer').innerText")
    assert window.run(_ROWS) == []


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ((400, b'{"error": "text is empty"}'), "The service refused the text: text is empty"),
        ((400, b"not json"), "The service refused the text: status 400"),
        ((413, b"{}"), "The text is too long for the service."),
        ((500, b"<html>oh</html>"), "The service failed (status 500). Its log says why."),
        ((200, b"<html>a proxy's page</html>"), "answer was not understood"),
        ((200, b"null"), "answer was not understood"),
        ((200, b'{"predictions": [{"path": "Food", "probability": 1}]}'), "was not understood"),
        ((200, b'{"predictions": [{"path": ["Food"], "probability": "1"}]}'), "not understood"),
    ],
)
def test_an_answer_that_is_none_is_said_in_words(
    window: Browser, service: CannedService, answer: tuple[int, bytes], said: str
) -> None:
    open_page(window, service)
    ask(window)
    window.wait(_ANSWERED)
    service.answer = answer
    window.press("Control", "Enter")
    assert said in window.wait(_FAILED)
    # An old answer does not stand beside the message as if it were the new one's.
    assert not window.run(_ANSWERED)
    service.predict(*_PATHS)
    window.press("Control", "Enter")
    window.wait(_ANSWERED)
    assert window.run(_FAILED) == ""


def test_a_service_that_is_gone_is_said_in_words(window: Browser) -> None:
    with canned_service() as service:
        open_page(window, service)
    ask(window)
    assert window.wait(_FAILED) == "The service cannot be reached. Is it still running?"


def test_a_wrong_entry_is_said_before_anything_is_sent(
    window: Browser, service: CannedService
) -> None:
    open_page(window, service)
    window.type("#text", "  ")
    window.click("#send")
    assert window.wait(_FAILED) == "Enter a text first."
    assert window.run(_FOCUS) == "text"
    window.type("#text", "penne")
    window.run("document.getElementById('top-k').value = '1.5'")
    window.click("#send")
    window.wait("return document.getElementById('error').textContent.startsWith('Paths to show')")
    assert window.run(_FOCUS) == "top-k"
    assert service.questions == []


def test_the_newest_question_gets_the_answer(window: Browser, service: CannedService) -> None:
    open_page(window, service)
    service.holding.clear()
    service.predict((["Old"], 1.0))
    ask(window)
    window.wait("return document.querySelector('[aria-busy]') !== null")
    service.wait_for_questions(1)
    service.predict((["New"], 1.0))
    window.press("Control", "Enter")
    service.wait_for_questions(2)
    service.holding.set()
    window.wait(_ANSWERED)
    assert window.run(_ROWS) == [[1, "New: 100.0 %"]]


def test_a_service_that_does_not_tell_its_model_is_no_matter(
    window: Browser, service: CannedService
) -> None:
    service.model = None
    open_page(window, service)
    ask(window)
    window.wait(_ANSWERED)
    assert window.run("return document.querySelector('h1').textContent") == (
        "Hierarchical text classifier"
    )


def test_the_header_names_the_model(window: Browser, service: CannedService) -> None:
    open_page(window, service)
    window.wait("return !document.getElementById('facts').hidden")
    assert window.run("return document.querySelector('h1').textContent") == "DB-BHCN on groceries"
    facts = "return [...document.querySelectorAll('#facts span')].map(fact => fact.textContent)"
    assert window.run(facts) == [
        "version 20260131T123456",
        "74,700 classes to choose from",
        "3 levels",
    ]


def test_everything_can_be_reached_with_the_keyboard(
    window: Browser, service: CannedService
) -> None:
    open_page(window, service)
    reached = []
    for _ in range(4):
        window.press("Tab")
        reached.append(window.run(_FOCUS))
    assert reached == ["text", "top-k", "min-confidence", "send"]
    ask(window)
    window.wait(_ANSWERED)
    window.run("document.getElementById('send').focus()")
    window.press("Tab")
    assert window.run(_FOCUS) == "Food"
    seen = []
    for key in [
        "ArrowDown", "ArrowDown", "ArrowLeft", "ArrowLeft", "ArrowDown", "ArrowUp", "ArrowRight",
        "ArrowRight", "End", "Home", "b", "Enter", "ArrowDown",
    ]:  # fmt: skip
        window.press(key)
        seen.append(window.run(_FOCUS))
    assert seen == [
        "Pasta", "Spaghetti", "Pasta", "Pasta", "Bread", "Pasta", "Pasta",
        "Spaghetti", "Rakes", "Food", "Bread", "Bread", "Garden",
    ]  # fmt: skip
    # One stop of the Tab key for the whole tree, and the focus can be seen.
    assert window.run("return document.querySelectorAll('#tree [tabindex=\"0\"]').length") == 1
    outline = "return getComputedStyle(document.activeElement.querySelector('.row')).outlineStyle"
    assert window.run(outline) == "solid"


def test_a_click_opens_and_closes(window: Browser, service: CannedService) -> None:
    open_page(window, service)
    ask(window)
    window.wait(_ANSWERED)
    hidden = "return document.querySelector('#tree ul').offsetHeight === 0"
    window.click("#tree .row")
    assert window.run(hidden)
    window.click("#tree .row")
    assert not window.run(hidden)


@pytest.mark.parametrize("width", [1280, 400, 320])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_the_screen(
    window: Browser, service: CannedService, width: int, scheme: str, tmp_path: Path
) -> None:
    long = "Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft"
    service.predict(*_PATHS[:3], (["Food", "Pasta", long], 0.03), (["Food", long, "Other"], 0.02))
    window.resize(width, 900)
    window.prefer(prefers_color_scheme=scheme, prefers_reduced_motion="reduce")
    open_page(window, service)
    window.wait("return !document.getElementById('facts').hidden")
    ask(window, "Spaghetti no. 5 from durum wheat, 500 g")
    window.wait(_ANSWERED)
    assert window.run("return document.documentElement.scrollWidth") <= width
    dark = window.run("return getComputedStyle(document.body).backgroundColor") == "rgb(19, 22, 25)"
    assert dark == (scheme == "dark")
    duration = "return getComputedStyle(document.querySelector('.bar span')).transitionDuration"
    assert window.run(duration) == "0s"
    folder = Path(os.environ.get("KTT_SCREENSHOTS", tmp_path))
    window.screenshot(folder / f"try-{width}-{scheme}.png")
