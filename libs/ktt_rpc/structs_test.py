import math

import pytest
from google.protobuf import json_format
from hypothesis import given, settings
from hypothesis import strategies as st

from ktt_core.errors import InvalidArgumentError
from ktt_rpc.structs import dict_to_struct, struct_to_dict

_NUMBERS = st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
_JSON = st.recursive(
    st.none() | st.booleans() | _NUMBERS | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@settings(deadline=None)
@given(st.dictionaries(st.text(), _JSON, max_size=5))
def test_json_comes_back_as_it_was(values):
    back = struct_to_dict(dict_to_struct(values))
    assert back == values


@settings(deadline=None)
@given(st.dictionaries(st.text(), st.integers(-(2**53), 2**53), max_size=5))
def test_whole_numbers_come_back_as_int(values):
    assert all(type(value) is int for value in struct_to_dict(dict_to_struct(values)).values())


def test_a_struct_is_what_protobuf_s_own_json_makes_of_it():
    values = {"a": [1, 2.5, "x", None, True], "b": {"c": []}}
    assert json_format.MessageToDict(dict_to_struct(values)) == values


@pytest.mark.parametrize(
    "value", [2**53 + 1, -(10**400), math.nan, math.inf, b"x", {1, 2}, object()]
)
def test_what_json_or_a_double_cannot_hold_is_refused_by_its_key(value):
    with pytest.raises(InvalidArgumentError, match=r"^a\.b\[1\]:"):
        dict_to_struct({"a": {"b": [0, value]}})


def test_nesting_without_end_is_refused():
    value: list = []
    for _ in range(5000):
        value = [value]
    with pytest.raises(InvalidArgumentError, match="nested deeper"):
        dict_to_struct({"a": value})
