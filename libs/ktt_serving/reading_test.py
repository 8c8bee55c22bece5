from __future__ import annotations

import json

import pytest

from ktt_serving.reading import MAX_TEXT_BYTES, MAX_TEXTS, Question, RequestError, read_question

BAD = {
    "nothing": (b"", "empty"),
    "no JSON": (b"{text: 1}", "line 1, column 2"),
    "no UTF-8": (b'{"text": "\xff"}', "not UTF-8"),
    "a list": (b'["a"]', "not a list"),
    "null": (b"null", "not null"),
    "a number": (b"1", "not a number"),
    "no text": (b"{}", '"text" is missing'),
    "a misspelt field": (b'{"txt": "a"}', "no field 'txt'"),
    "a field too many": (b'{"text": "a", "txt": 1}', "no field 'txt'; there (is|are) \"text\""),
    "a number for a text": (b'{"text": 1}', "not a number"),
    "a truth value": (b'{"text": true}', "not a truth value"),
    "null for a text": (b'{"text": null}', "not null"),
    "a list for a text": (b'{"text": ["a"]}', "not a list"),
    "an object for a text": (b'{"text": {}}', "not an object"),
    "an empty text": (b'{"text": ""}', "empty"),
    "a blank text": (b'{"text": " \\n\\u0000\\t"}', "empty"),
    "half a pair": (b'{"text": "\\ud800"}', "surrogate"),
    "a large text": (json.dumps({"text": "a" * (MAX_TEXT_BYTES + 1)}).encode(), "1,000,001 bytes"),
    "deep nesting": (b'{"text": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested"),
    "deep objects": (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "nested"),
    "a long number": (b'{"text": ' + b"1" * 10_000 + b"}", "number"),
    "no number": (b'{"text": NaN}', "number"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_answered_says_why(name):
    body, message = BAD[name]
    for options in (False, True):
        with pytest.raises(RequestError, match=message) as caught:
            read_question(body, options=options)
        assert caught.value.status == 400


def test_a_message_quotes_no_text():
    secret = "secret" * 30
    for body in ({"text": [secret]}, {"text": secret + "\ud800"}, {"texts": secret}, [secret]):
        with pytest.raises(RequestError) as caught:
            read_question(json.dumps(body).encode(), options=True)
        assert "secretsecret" not in str(caught.value)


def test_a_body_beyond_all_texts_is_too_large():
    with pytest.raises(RequestError) as caught:
        read_question(b'{"text": "' + b"a" * 7_000_000 + b'"}')
    assert caught.value.status == 413


def test_the_largest_text_is_read_however_it_is_escaped():
    text = "\u0001a" * (MAX_TEXT_BYTES // 2)
    body = '{"text": "' + "".join(f"\\u{ord(c):04x}" for c in text) + '"}'
    assert read_question(body.encode()).texts == (text,)


def test_a_compressed_body_is_refused():
    with pytest.raises(RequestError) as caught:
        read_question(b"\x1f\x8b", encoding="gzip")
    assert caught.value.status == 415


def test_a_text_is_all_that_is_needed():
    body = json.dumps({"text": "Größe 🎸\n"}, ensure_ascii=False).encode()
    assert read_question(body) == Question(("Größe 🎸\n",))
    assert read_question(body, options=True) == Question(("Größe 🎸\n",), 5, 0.0)


def test_options_are_read_where_there_are_any():
    body = b'{"text": "a", "top_k": 3, "min_confidence": 1}'
    assert read_question(body, options=True) == Question(("a",), 3, 1.0)


@pytest.mark.parametrize("name", ["texts", "top_k", "min_confidence"])
def test_where_there_are_no_options_they_are_named(name):
    body = json.dumps({"text": "a", name: 1}).encode()
    with pytest.raises(RequestError, match=f'no field "{name}" here; /predict_proba takes it'):
        read_question(body)


def read_list(**fields):
    return read_question(json.dumps(fields).encode(), options=True)


def test_a_list_of_texts_is_read_in_its_order():
    assert read_list(texts=["b", "a", "b"]) == Question(("b", "a", "b"), 5, 0.0, is_list=True)
    assert read_list(texts=["a"], top_k=2) == Question(("a",), 2, 0.0, is_list=True)
    assert len(read_list(texts=["a"] * MAX_TEXTS).texts) == MAX_TEXTS


@pytest.mark.parametrize(
    ("fields", "message", "text"),
    [
        ({"texts": []}, "has 0 texts; it may have 1 to 1,000", None),
        ({"texts": ["a"] * (MAX_TEXTS + 1)}, "has 1,001 texts", None),
        ({"texts": "a"}, "a list of strings, not a string", None),
        ({"texts": None}, "not null", None),
        ({"texts": {"0": "a"}}, "not an object", None),
        ({"text": "a", "texts": ["a"]}, "not both", None),
        ({"texts": ["a", "b", 1]}, r'"texts"\[2\] must be a string, not a number', 2),
        ({"texts": ["a", ["b"]]}, r'"texts"\[1\] must be a string, not a list', 1),
        ({"texts": ["a", " "]}, r'"texts"\[1\] is empty', 1),
        ({"texts": ["\ud800"]}, r'"texts"\[0\] is not valid Unicode', 0),
        ({"texts": ["a" * (MAX_TEXT_BYTES + 1)]}, r'"texts"\[0\] has 1,000,001 bytes', 0),
        ({"texts": ["a" * 999_999] * 3}, "has 2,999,997 bytes; at most 2,000,000", None),
        ({"texts": ["a"] * 1000, "top_k": 51}, "more than 50,000 paths", None),
        ({"texts": ["a"], "topk": 5}, "no field 'topk'", None),
    ],
)
def test_a_list_that_cannot_be_answered_says_why(fields, message, text):
    with pytest.raises(RequestError, match=message) as caught:
        read_list(**fields)
    assert (caught.value.status, caught.value.text) == (400, text)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("top_k", 0),
        ("top_k", 1001),
        ("top_k", 2.0),
        ("top_k", True),
        ("top_k", "2"),
        ("min_confidence", -0.1),
        ("min_confidence", 1.1),
        ("min_confidence", "0.5"),
        ("min_confidence", None),
        ("topk", 3),
    ],
)
def test_wrong_options_are_named(field, value):
    body = json.dumps({"text": "a", field: value}).encode()
    with pytest.raises(RequestError, match=field):
        read_question(body, options=True)
