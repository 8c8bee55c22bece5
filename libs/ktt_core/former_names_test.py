"""A renamed attribute or method is read and overridden under either name."""

from __future__ import annotations

import warnings
from abc import ABC
from collections.abc import Iterator
from typing import Any, ClassVar

import pytest

from ktt_core.former_names import keep_former_name


class Base(ABC):  # noqa: B024 - the contracts are ABCs, whose metaclass adds a frame
    """A contract whose `old` and `begin` were renamed."""

    new: ClassVar[bool] = True

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        keep_former_name(cls, "old", "new")
        keep_former_name(cls, "begin", "start")

    def start(self) -> list[str]:
        """Return who was called."""
        return ["Base"]


keep_former_name(Base, "old", "new")
keep_former_name(Base, "begin", "start")


class Inner(Base):
    """A class of today's names."""

    def start(self) -> list[str]:
        """Return who was called."""
        return [*super().start(), "Inner"]


@pytest.fixture(autouse=True)
def _no_other_warnings() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def test_the_former_name_is_read_with_a_warning_that_points_at_the_reader() -> None:
    with pytest.warns(DeprecationWarning, match="Base.old is new now") as caught:
        assert Base.old is True  # type: ignore[attr-defined]
    assert caught[0].filename == __file__
    with pytest.warns(DeprecationWarning, match="Base.old is new now"):
        assert Inner().old is True  # type: ignore[attr-defined]
    with pytest.warns(DeprecationWarning, match="Inner.begin is start now"):
        assert Inner().begin() == ["Base", "Inner"]  # type: ignore[attr-defined]


def test_an_override_of_the_former_name_is_one_of_the_new() -> None:
    with pytest.warns(DeprecationWarning, match="Outside.old is new now") as caught:

        class Outside(Base):
            old = False

    assert caught[0].filename == __file__
    assert Outside.new is Outside.old is False
    assert Outside().new is False


def test_an_overriding_method_calls_that_of_its_base_under_the_former_name() -> None:
    with pytest.warns(DeprecationWarning, match="Outside.begin is start now"):

        class Outside(Inner):
            def begin(self) -> list[str]:
                return [*super().begin(), "Outside"]  # type: ignore[misc]

    with pytest.warns(DeprecationWarning, match="Inner.begin is start now"):
        assert Outside().start() == ["Base", "Inner", "Outside"]


def test_a_mixin_overrides_under_the_former_name() -> None:
    class Mixin:
        old = False

    with pytest.warns(DeprecationWarning, match="Outside.old"):

        class Outside(Mixin, Base):
            pass

    assert Outside.new is False


def test_a_property_overrides_under_the_former_name() -> None:
    with pytest.warns(DeprecationWarning, match="Outside.old"):

        class Outside(Base):
            @property
            def old(self) -> bool:
                return False

    assert Outside().new is False


def test_an_instance_sets_the_former_name() -> None:
    instance = Inner()
    with pytest.warns(DeprecationWarning, match="Base.old"):
        instance.old = False  # type: ignore[attr-defined]
    assert instance.new is False
    with pytest.warns(DeprecationWarning, match="Base.old"):
        assert instance.old is False  # type: ignore[attr-defined]


def test_subclasses_of_an_override_are_as_they_were() -> None:
    with pytest.warns(DeprecationWarning):

        class Outside(Base):
            old = False

    class Further(Outside):
        pass

    class Newer(Outside):
        new = True

    assert (Further.new, Newer.new) == (False, True)
    with pytest.warns(DeprecationWarning, match="Newer.old is new now"):
        assert Newer.old is True


def test_a_class_for_both_releases_warns_of_nothing() -> None:
    class Both(Base):
        old = new = False

        def start(self) -> list[str]:
            return ["Both"]

        begin = start

    assert Both().start() == ["Both"]
    assert Both.new is False
