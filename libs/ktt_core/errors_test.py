"""Errors carry their message, and a wrong argument its field."""

from __future__ import annotations

import errno
import inspect
import os

import pytest

from ktt_core import errors


def test_a_wrong_argument_names_its_field() -> None:
    error = errors.InvalidConfigError("epochs must be positive", field="config.epochs")
    assert (str(error), error.field) == ("epochs must be positive", "config.epochs")
    assert errors.InvalidArgumentError("bad").field == ""


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_disk_a_quota_and_a_file_are_full_alike(code: int) -> None:
    assert errors.is_disk_full(OSError(code, os.strerror(code)))
    assert not errors.is_disk_full(OSError(errno.EACCES, "no"))
    assert not errors.is_disk_full(ValueError(code))


def test_only_a_name_of_an_error_finds_a_class() -> None:
    assert errors.error_class("DataError") is errors.DataError
    for name in ("", "errno", "DISK_FULL", "Callable", "ZeroDivisionError", "error_class"):
        assert errors.error_class(name) is None


def test_every_error_is_exported_and_in_the_tree() -> None:
    found = {
        name
        for name, value in vars(errors).items()
        if inspect.isclass(value) and issubclass(value, errors.KttError)
    }
    assert found == set(errors.__all__) - {"DISK_FULL", "error_class", "is_disk_full"}
    assert all(name in (errors.__doc__ or "") for name in found)
