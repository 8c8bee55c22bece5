"""Clients name encoders that the server offers, and nothing else of its disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from ktt_core.errors import InvalidArgumentError, PermissionDeniedError
from trainer.encoder_access import EncoderAccess
from trainer.server_paths import AllowedRoots


@pytest.fixture
def access(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> EncoderAccess:
    """Return the access where "allowed" and "encoders" may be read, and "secret" may not."""
    for name in ("allowed/tiny", "encoders/small", "secret/tiny"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "allowed/link").symlink_to(tmp_path / "secret/tiny")
    monkeypatch.setenv("KTT_ENCODERS", str(tmp_path / "encoders"))
    monkeypatch.chdir(tmp_path / "secret")
    return EncoderAccess(AllowedRoots([tmp_path / "allowed"]), allow_download=False)


@pytest.mark.parametrize("name", ["distilbert-base-uncased", "sentence-transformers/all-MiniLM"])
def test_names_are_free(access: EncoderAccess, name: str) -> None:
    access.check({"encoder": name, "download": False})


@pytest.mark.parametrize("folder", ["allowed/tiny", "allowed/none", "encoders/small", "encoders"])
def test_folders_that_are_offered_may_be_named(
    access: EncoderAccess, tmp_path: Path, folder: str
) -> None:
    access.check({"encoder": str(tmp_path / folder)})


@pytest.mark.parametrize(
    "folder", ["secret/tiny", "secret/none", "allowed/link", "allowed/../secret/tiny", "allowed"]
)
def test_other_folders_are_refused_whether_they_exist_or_not(
    access: EncoderAccess, tmp_path: Path, folder: str
) -> None:
    with pytest.raises(PermissionDeniedError, match="not under a folder that this server allows"):
        access.check({"encoder": f"{tmp_path}/{folder}"})


@pytest.mark.parametrize("path", ["./tiny", "../secret", "~/tiny", "a/../tiny", "tiny"])
def test_a_folder_beside_the_server_is_no_name(access: EncoderAccess, path: str) -> None:
    with pytest.raises(InvalidArgumentError, match="absolute path") as caught:
        access.check({"encoder": path})
    assert caught.value.field == "hyperparameters.encoder"


def test_a_server_started_beside_its_encoders_has_them(
    access: EncoderAccess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path / "encoders")
    access.check({"encoder": "small"})


def test_nothing_is_fetched_unless_it_is_allowed(access: EncoderAccess) -> None:
    wanted = {"encoder": "distilbert-base-uncased", "download": True}
    with pytest.raises(PermissionDeniedError, match="--allow-download"):
        access.check(wanted)
    EncoderAccess(AllowedRoots(), allow_download=True).check(wanted)


def test_models_without_an_encoder_are_no_matter(access: EncoderAccess) -> None:
    access.check({"epochs": 3})
