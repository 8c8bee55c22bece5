"""What pip's settings mean for Pants."""

from __future__ import annotations

from pathlib import Path

import pytest

from ktt_core.interpreters.package_index import as_url
from pip_settings import PYTORCH_CPU_INDEX, pants_options


def test_several_values_may_stand_on_lines_of_their_own() -> None:
    pip = {"find-links": "\nhttps://a.example/x\n/wheels"}
    links = "['https://a.example/x', 'file:///wheels']"
    assert pants_options(pip, {}) == {"PANTS_PYTHON_REPOS_FIND_LINKS": links}


def test_an_index_of_ones_own_replaces_the_default_one() -> None:
    pip = {"index-url": "https://a.example", "extra-index-url": "https://b.example"}
    indexes = pants_options({**pip, "find-links": "/w"}, {})["PANTS_PYTHON_REPOS_INDEXES"]
    assert indexes == "['https://a.example', 'https://b.example']"


def test_no_index_means_none() -> None:
    pip = {"no-index": "true", "index-url": "https://a.example", "find-links": "/w"}
    assert pants_options(pip, {})["PANTS_PYTHON_REPOS_INDEXES"] == "[]"


def test_without_settings_only_the_pytorch_index_is_added() -> None:
    assert pants_options({}, {}) == {"PANTS_PYTHON_REPOS_INDEXES": f"+['{PYTORCH_CPU_INDEX}']"}


def test_the_certificate_bundle_of_requests_stands_in_for_pips(tmp_path: Path) -> None:
    bundle = tmp_path / "bundle.pem"
    bundle.touch()
    pip = {"find-links": "/w"}
    options = pants_options(pip, {"REQUESTS_CA_BUNDLE": str(bundle)})
    assert options["PANTS_CA_CERTS_PATH"] == str(bundle)
    assert "PANTS_CA_CERTS_PATH" not in pants_options(pip, {"REQUESTS_CA_BUNDLE": "/gone"})


@pytest.mark.parametrize(
    ("place", "url"),
    [
        ("/a b/wheels", "file:///a%20b/wheels"),
        ("file:///wheels", "file:///wheels"),
        ("https://a.example/wheels.html", "https://a.example/wheels.html"),
    ],
)
def test_find_links_places_become_urls(place: str, url: str) -> None:
    assert as_url(place) == url


def test_a_relative_find_links_folder_is_made_absolute() -> None:
    assert as_url("wheels") == (Path.cwd() / "wheels").as_uri()
