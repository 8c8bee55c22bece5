"""Requests are accepted or refused as a whole, with a message that says where the fault is."""

from __future__ import annotations

import dataclasses
import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring.errors import RequestError
from monitoring.layout import LabelKind, Layout
from monitoring.rows import parse_feedback, parse_rows

LAYOUT = Layout(
    columns=("targets", "0", "1", "Shirts", "Phones > Accessories", "Bikes > Accessories"),
    features=(0, 1),
    scores=(2, 3, 4),
    classes=("Shirts", "Phones > Accessories", "Bikes > Accessories"),
    label_kind=LabelKind.CLASS,
    keeps_scores=True,
)
REGRESSION = Layout(
    ("price", "0", "estimate"), features=(0,), estimate=1, label_kind=LabelKind.NUMBER
)
UNLABELLED = Layout(("targets", "0"), features=(0,))
GOOD = [None, 0.5, -1, 0.1, 0.7, 0.2]


def as_float32(numbers):
    return np.asarray(numbers, dtype=np.float32)


def body(document):
    return document if isinstance(document, bytes) else json.dumps(document).encode()


def test_a_row_becomes_a_record():
    parsed = parse_rows(body({"data": [GOOD], "ids": ["r1"]}), LAYOUT)
    record = parsed.records[0]
    np.testing.assert_array_equal(record["drift"], as_float32([0.5, -1, 0.7]))
    np.testing.assert_array_equal(record["scores"], as_float32([0.1, 0.7, 0.2]))
    assert record["predicted"] == 1
    assert math.isnan(record["label"])
    assert parsed.ids == ["r1"]


@pytest.mark.parametrize(
    ("cell", "label"), [(None, None), (0, None), (0.0, None), ("Bikes > Accessories", 2)]
)
def test_the_first_cell_is_null_or_zero_or_a_class(cell, label):
    record = parse_rows(body({"data": [[cell, *GOOD[1:]]]}), LAYOUT).records[0]
    if label is None:
        assert math.isnan(record["label"])
    else:
        assert record["label"] == label
        assert record["loss"] == pytest.approx(-math.log(0.2))


def test_the_first_cell_of_a_regression_is_a_number_and_zero_is_a_value():
    parsed = parse_rows(body({"data": [[0, 1, 2.5], [None, 1, 2.5]]}), REGRESSION)
    assert parsed.records["label"][0] == 0
    assert parsed.records["loss"][0] == 2.5
    assert math.isnan(parsed.records["label"][1])


def test_without_a_monitor_of_labels_a_class_name_is_ignored():
    assert math.isnan(parse_rows(body({"data": [["x", 1]]}), UNLABELLED).records["label"][0])


@pytest.mark.parametrize("score", [-0.1, 1.1, 3e38, -3e38])
def test_a_score_beyond_the_references_probabilities_is_refused(score):
    probabilities = dataclasses.replace(LAYOUT, has_probabilities=True)
    document = body({"data": [GOOD, [*GOOD[:4], score, 0.2]]})
    with pytest.raises(RequestError, match=r"data\[1\]\[4\], a score, is .*, from 0 to 1"):
        parse_rows(document, probabilities)
    assert len(parse_rows(document, LAYOUT).records) == 2


def test_a_score_that_passes_one_by_rounding_counts_as_one():
    probabilities = dataclasses.replace(LAYOUT, has_probabilities=True)
    record = parse_rows(body({"data": [[*GOOD[:3], 0, 1.0001, -0.0001]]}), probabilities).records[0]
    np.testing.assert_array_equal(record["scores"], as_float32([0, 1, 0]))
    assert record["drift"][2] == 1


def test_the_error_of_a_regression_stays_finite():
    parsed = parse_rows(body({"data": [[3e38, 1, -3e38]]}), REGRESSION)
    assert np.isfinite(parsed.records["loss"]).all()
    with pytest.raises(RequestError, match="not a finite 32-bit number"):
        parse_rows(body({"data": [[1e300, 1, 2]]}), REGRESSION)


def rowed(*cells):
    return {"data": [GOOD, list(cells)]}


@pytest.mark.parametrize(
    ("document", "reason", "said"),
    [
        (b"", "json", "not JSON"),
        (b"{", "json", "not JSON at character"),
        (b"\xff\xfe\x00", "json", "not JSON"),
        (b"[" * 100_000, "json", "nested too deeply"),
        (b'{"data": ' + b"[" * 100_000, "json", "nested too deeply"),
        (b'{"data": [[null, NaN, 1, 1, 1, 1]]}', "value", "NaN"),
        (b'{"data": [[null, -Infinity, 1, 1, 1, 1]]}', "value", "-Infinity"),
        (b'{"data": [[null, 1e999, 1, 1, 1, 1]]}', "value", "data[0][1] is not a finite"),
        ([], "shape", "JSON object"),
        ({}, "shape", "`data` is missing"),
        ({"data": [GOOD], "id": []}, "shape", "unknown field 'id'"),
        ({"data": []}, "shape", "at least one row"),
        ({"data": {}}, "shape", "at least one row"),
        ({"data": GOOD}, "shape", "data[0] is not a list"),
        (rowed(*GOOD[:-1]), "width", "data[1] has 5 cells; 6 are needed"),
        (rowed(*GOOD, 1), "width", "data[1] has 7 cells"),
        (rowed(*GOOD[:-1], "0.2"), "type", "data[1][5] is not a number"),
        (rowed(*GOOD[:-1], True), "type", "data[1][5] is not a number"),
        (rowed(*GOOD[:-1], None), "type", "data[1][5] is not a number"),
        (rowed(*GOOD[:-1], [0.2]), "type", "data[1][5] is not a number"),
        (rowed(*GOOD[:-1], 1e300), "value", "data[1][5] is not a finite 32-bit number"),
        (rowed(*GOOD[:-1], 10**400), "value", "too large"),
        (rowed(1, *GOOD[1:]), "label", "data[1][0] must be the name of a class"),
        (rowed(True, *GOOD[1:]), "label", "data[1][0] must be the name of a class"),
        (rowed(False, *GOOD[1:]), "label", "data[1][0] must be the name of a class"),
        (rowed(["Shirts"], *GOOD[1:]), "label", "data[1][0] must be the name of a class"),
        (rowed("Hats", *GOOD[1:]), "label", "'Hats', which is not a class of the model"),
        ({"data": [GOOD], "ids": "r1"}, "ids", "a list of 1"),
        ({"data": [GOOD], "ids": []}, "ids", "a list of 1"),
        ({"data": [GOOD], "ids": [1]}, "ids", "ids[0] must be a text"),
        ({"data": [GOOD], "ids": [""]}, "ids", "ids[0] must be a text"),
        ({"data": [GOOD], "ids": ["x" * 201]}, "ids", "1 to 200 characters"),
        ({"data": [GOOD], "ids": ["\ud800"]}, "ids", "characters that are not valid Unicode"),
    ],
)
def test_invalid_rows_are_refused(document, reason, said):
    with pytest.raises(RequestError) as error:
        parse_rows(body(document), LAYOUT)
    assert said in str(error.value)
    assert error.value.reason == reason
    assert error.value.status == 400


def test_a_refusal_counts_all_rows_of_the_request():
    with pytest.raises(RequestError) as error:
        parse_rows(body({"data": [GOOD, GOOD, [1]]}), LAYOUT)
    assert error.value.rows == 3


def test_labels_are_named_as_columns_or_by_their_path():
    parsed = parse_feedback(
        body(
            {
                "feedback": [
                    {"id": "a", "label": "Shirts"},
                    {"id": "b", "label": "Clothes\nShirts"},
                    {"id": "c", "label": "All\nPhones\nAccessories"},
                ]
            }
        ),
        LAYOUT,
    )
    assert parsed.ids == ["a", "b", "c"]
    assert parsed.labels == [0, 0, 1]


def feedback_label(layout, label):
    return parse_feedback(body({"feedback": [{"id": "a", "label": label}]}), layout).labels[0]


NUMBERED = Layout(
    columns=("targets", "x", "> 0", "> > 0", "a > b", "> targets", "x > 1", "y > 1"),
    features=(0,),
    scores=(1, 2, 3, 4, 5, 6),
    classes=("> 0", "> > 0", "a > b", "> targets", "x > 1", "y > 1"),
    label_kind=LabelKind.CLASS,
)
PATHS = ("0", "> 0", "b", "targets", "x\n1", "y\n1")


@pytest.mark.parametrize("place", range(len(PATHS)))
def test_a_path_that_predict_returns_is_a_label(place):
    layout = dataclasses.replace(NUMBERED, labels=PATHS)
    assert feedback_label(layout, PATHS[place]) == place
    # As /predict_proba returns it.
    assert feedback_label(layout, PATHS[place].split("\n")) == place


@pytest.mark.parametrize(("label", "place"), [("a > b", 2), ("y > 1", 5), ("> targets", 3)])
def test_a_column_s_name_is_a_label_too(label, place):
    assert feedback_label(dataclasses.replace(NUMBERED, labels=PATHS), label) == place


@pytest.mark.parametrize(("label", "place"), [("0", 0), ("x\n1", 4), ("targets", 3)])
def test_an_older_bundle_without_the_paths_accepts_paths_of_numbers(label, place):
    assert feedback_label(NUMBERED, label) == place


@pytest.mark.parametrize("label", [[], [1], ["x", 1], {"x": "1"}, ["x", "2"], True])
def test_an_unknown_path_is_refused(label):
    with pytest.raises(RequestError) as error:
        feedback_label(dataclasses.replace(NUMBERED, labels=PATHS), label)
    assert error.value.status == 400


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({"feedback": []}, "at least one"),
        ({"feedback": ["a"]}, "feedback[0] must be an object"),
        ({"feedback": [{"id": "a"}]}, "feedback[0] must be an object"),
        ({"feedback": [{"id": "a", "label": "Shirts", "x": 1}]}, "feedback[0] must be an object"),
        ({"feedback": [{"id": 1, "label": "Shirts"}]}, "feedback[0].id"),
        ({"feedback": [{"id": "a", "label": None}]}, "feedback[0].label"),
        ({"feedback": [{"id": "a", "label": 0}]}, "feedback[0].label"),
        ({"feedback": [{"id": "a", "label": "Hats"}]}, "'Hats'"),
        ({"feedback": [{"id": "a", "label": "Accessories"}]}, "'Accessories'"),
        ({"data": []}, "unknown field 'data'"),
    ],
)
def test_invalid_labels_are_refused(document, said):
    with pytest.raises(RequestError) as error:
        parse_feedback(body(document), LAYOUT)
    assert said in str(error.value)


@pytest.mark.parametrize("label", [True, "1", None, [1]])
def test_a_true_value_must_be_a_number(label):
    with pytest.raises(RequestError):
        parse_feedback(body({"feedback": [{"id": "a", "label": label}]}), REGRESSION)


def test_labels_that_no_monitor_needs_are_refused():
    with pytest.raises(RequestError, match="no configured monitor needs labels"):
        parse_feedback(body({"feedback": [{"id": "a", "label": "x"}]}), UNLABELLED)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=7) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=20,
)


@given(json_values | st.fixed_dictionaries({"data": json_values}, optional={"ids": json_values}))
def test_any_document_is_accepted_or_refused(document):
    try:
        parsed = parse_rows(body(document), LAYOUT)
    except RequestError:
        return
    assert np.isfinite(parsed.records["drift"]).all()


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_refused(data):
    with pytest.raises(RequestError):
        parse_rows(data, LAYOUT)


number = st.floats(width=32, allow_nan=False, allow_infinity=False)


@given(st.lists(st.lists(number, min_size=5, max_size=5), min_size=1, max_size=10))
def test_numbers_are_kept_unchanged(numbers):
    parsed = parse_rows(body({"data": [[None, *row] for row in numbers]}), LAYOUT)
    np.testing.assert_array_equal(
        parsed.records["scores"], as_float32([row[2:] for row in numbers])
    )
    np.testing.assert_array_equal(
        parsed.records["predicted"], np.argmax(as_float32([r[2:] for r in numbers]), axis=1)
    )
