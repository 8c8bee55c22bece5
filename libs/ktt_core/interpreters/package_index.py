"""A project's files on the package indexes in pip's settings, with the standard library only.

It reads the simple API of indexes (PEP 503 and its JSON form, PEP 691), folders and pages of links,
over HTTPS, HTTP and ``file:``. Of pip's settings it supports ``index-url``, ``extra-index-url``,
``no-index``, ``find-links``, ``proxy``, ``cert``, ``client-cert``, ``trusted-host`` and
``timeout``; credentials come from the addresses or from ``.netrc``.
"""

from __future__ import annotations

import base64
import http.client
import importlib
import json
import netrc
import os
import ssl
import sys
import sysconfig
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import IO
from urllib.parse import unquote, urldefrag, urljoin, urlsplit, urlunsplit

from ktt_core.errors import FailedPreconditionError, UnavailableError

__all__ = [
    "Link",
    "PackageIndexes",
    "as_url",
    "certificates",
    "copy",
    "says_yes",
    "without_password",
]

_ACCEPT = (
    "application/vnd.pypi.simple.v1+html, text/html;q=0.9, "
    "application/vnd.pypi.simple.v1+json;q=0.2"
)
_DEFAULT_TIMEOUT = 60.0


@dataclass(frozen=True)
class Link:
    """A file on an index.

    Attributes
    ----------
    name : str
        The file's name.
    url : str
        Its URL, without a fragment.
    sha256 : str
        Its digest according to the index, or "".
    """

    name: str
    url: str
    sha256: str


def without_password(url: str) -> str:
    """Return a URL without its password, for display."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def says_yes(value: str) -> bool:
    """Whether a boolean of pip's settings is on."""
    return value.lower() in ("1", "true", "yes", "on", "t", "y")


def certificates(settings: Mapping[str, str], environ: Mapping[str, str]) -> str:
    """Return pip's file or folder of trusted certificates, or "" for the system's."""
    names = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
    for place in (settings.get("cert"), *map(environ.get, names)):
        if place and os.path.exists(os.path.expanduser(place)):
            return os.path.abspath(os.path.expanduser(place))
    return ""


class PackageIndexes:
    """The locations where pip would look for a project.

    Parameters
    ----------
    settings : mapping of str to str
        pip's settings.
    environ : mapping of str to str
        The environment variables.
    """

    def __init__(self, settings: Mapping[str, str], environ: Mapping[str, str]) -> None:
        self._find_links = [as_url(place) for place in settings.get("find-links", "").split()]
        self._indexes: list[str] = []
        if not says_yes(settings.get("no-index", "")):
            main = settings.get("index-url") or _default_index()
            self._indexes = [
                as_url(place)
                for place in [
                    *([main] if main else []),
                    *settings.get("extra-index-url", "").split(),
                ]
            ]
        given = settings.get("timeout") or settings.get("default-timeout") or ""
        try:
            self._timeout = float(given)
        except ValueError:
            self._timeout = _DEFAULT_TIMEOUT
        credentials = _Credentials([*self._indexes, *self._find_links], environ)
        handlers: list[urllib.request.BaseHandler] = [credentials, _Https(settings, environ)]
        if proxy := settings.get("proxy"):
            address = proxy if "//" in proxy else f"http://{proxy}"
            handlers.append(urllib.request.ProxyHandler({"http": address, "https": address}))
        self._opener = urllib.request.build_opener(*handlers)

    @property
    def addresses(self) -> list[str]:
        """The indexes' URLs, which may contain passwords."""
        return list(self._indexes)

    @property
    def places(self) -> list[str]:
        """The URLs that are searched, without passwords."""
        return [without_password(place) for place in (*self._find_links, *self._indexes)]

    def links(self, project: str) -> Iterator[tuple[str, list[Link] | UnavailableError]]:
        """Yield each location with its files of a project, or the error that prevents reading it.

        Parameters
        ----------
        project : str
            Normalised name of the project.
        """
        if not self._indexes and not self._find_links:
            raise FailedPreconditionError(
                "pip's settings name no package index here, and there is no pip to ask for its "
                "own: let PIP_INDEX_URL, or index-url in pip's configuration, name one"
            )
        # These are mostly local folders, so they come first.
        for place in self._find_links:
            yield without_password(place), self._read(place)
        for index in self._indexes:
            page = f"{index.rstrip('/')}/{project}/"
            yield without_password(index), self._read(page)

    def _read(self, url: str) -> list[Link] | UnavailableError:
        folder = _folder(url)
        try:
            if folder is not None and not (folder / "index.html").is_file():
                return [Link(file.name, file.as_uri(), "") for file in sorted(folder.iterdir())]
            with self.open(folder.as_uri() + "/index.html" if folder else url) as answer:
                kind = answer.headers.get_content_type()
                return _links(answer.read(), answer.geturl(), kind)
        except UnavailableError as error:
            return error
        except OSError as error:
            return UnavailableError(f"{without_password(url)}: {error.strerror or error}")

    @contextmanager
    def open(self, url: str) -> Iterator[http.client.HTTPResponse]:
        """Open a URL.

        Raises
        ------
        UnavailableError
            If there is no valid response.
        """
        plain = without_password(url)
        request = urllib.request.Request(plain, headers={"Accept": _ACCEPT, "User-Agent": "ktt"})
        try:
            with self._opener.open(request, timeout=self._timeout) as answer:
                yield answer
        except urllib.error.HTTPError as error:
            raise UnavailableError(f"{plain}: {error.code} {error.reason}") from error
        except urllib.error.URLError as error:
            raise UnavailableError(f"{plain}: {error.reason}") from error
        except (http.client.HTTPException, OSError) as error:
            raise UnavailableError(f"{plain}: {error or type(error).__name__}") from error


class _Credentials(urllib.request.BaseHandler):
    """Sends each host only the credentials that were given for it.

    Credentials for HTTPS are not sent over HTTP, to which a link or a redirection on the same host
    may lead.
    """

    def __init__(self, places: list[str], environ: Mapping[str, str]) -> None:
        self._known: dict[tuple[str, str], tuple[str, str] | None] = {}
        for place in places:
            parts = urlsplit(place)
            key = parts.scheme, parts.netloc.rpartition("@")[2]
            self._known.setdefault(key, None)
            if parts.username and self._known[key] is None:
                self._known[key] = unquote(parts.username), unquote(parts.password or "")
        self._netrc: netrc.netrc | None = None
        try:
            file = environ.get("NETRC") or os.path.join(os.path.expanduser("~"), ".netrc")
            self._netrc = netrc.netrc(file)
        except (OSError, netrc.NetrcParseError):
            # Without a valid .netrc, indexes are read without credentials, as by pip.
            self._netrc = None

    def http_request(self, request: urllib.request.Request) -> urllib.request.Request:
        scheme, host = urlsplit(request.full_url)[:2]
        given = [key for key in ((scheme, host), ("http", host)) if key in self._known]
        known = next(filter(None, map(self._known.get, given)), None)
        if known is None and self._netrc is not None and (given or scheme == "https"):
            entry = self._netrc.authenticators(host.rpartition(":")[0] or host)
            known = (entry[0], entry[2] or "") if entry else None
        if known is not None:
            token = base64.b64encode(":".join(known).encode()).decode()
            # Not sent to other hosts after a redirection.
            request.add_unredirected_header("Authorization", f"Basic {token}")
        return request

    https_request = http_request


class _Https(urllib.request.HTTPSHandler):
    """Trusts the same certificates as pip."""

    def __init__(self, settings: Mapping[str, str], environ: Mapping[str, str]) -> None:
        super().__init__()
        self._certificates = certificates(settings, environ)
        self._client = settings.get("client-cert", "")
        self._unchecked = set(settings.get("trusted-host", "").split())

    def https_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        parts = urlsplit(request.full_url)
        folder = os.path.isdir(self._certificates)
        try:
            context = ssl.create_default_context(
                cafile=None if folder else self._certificates or None,
                capath=self._certificates if folder else None,
            )
            if self._client:
                context.load_cert_chain(os.path.expanduser(self._client))
        except OSError as error:
            names = " or ".join(filter(None, (self._certificates, self._client)))
            raise FailedPreconditionError(
                f"the certificates in {names}, which pip's settings name, cannot be used: {error}"
            ) from error
        if {parts.hostname, parts.netloc} & self._unchecked:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return self.do_open(http.client.HTTPSConnection, request, context=context)


class _Anchors(HTMLParser):
    """The targets of a page's links."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.base = url
        self.targets: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        target = dict(attrs).get("href")
        if tag == "base" and target:
            self.base = urljoin(self.base, target)
        elif tag == "a" and target:
            self.targets.append(target)


def _links(page: bytes, url: str, kind: str) -> list[Link]:
    if kind.endswith("json"):
        try:
            files = json.loads(page)["files"]
            return [
                Link(file["filename"], urljoin(url, file["url"]), file["hashes"].get("sha256", ""))
                for file in files
            ]
        except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as error:
            raise UnavailableError(f"{url}: is not a page of a package index") from error
    anchors = _Anchors(url)
    anchors.feed(page.decode("utf-8", "replace"))
    links = []
    for target in anchors.targets:
        address, fragment = urldefrag(urljoin(anchors.base, target))
        name = unquote(urlsplit(address).path.rpartition("/")[2])
        kind, _, digest = fragment.partition("=")
        links.append(Link(name, address, digest.lower() if kind == "sha256" else ""))
    return links


def as_url(place: str) -> str:
    """Convert a location in pip's settings to an absolute URL; URLs stay as they are."""
    if urlsplit(place).scheme:
        return place
    return Path(os.path.abspath(os.path.expanduser(place))).as_uri()


def _folder(url: str) -> Path | None:
    """Return the local folder of a URL, or None."""
    parts = urlsplit(url)
    if parts.scheme != "file":
        return None
    path = Path(unquote(parts.path))
    return None if path.is_file() else path


def _default_index() -> str:
    """Return pip's default index as pip itself reports it, or "" without pip.

    Asks this Python's pip, or the one bundled with `ensurepip` or the system.
    """
    paths = sys.path[:]
    keeps = [sysconfig.get_config_var("WHEEL_PKG_DIR"), "/usr/share/python-wheels"]
    with_ensurepip = Path(sysconfig.get_path("stdlib"), "ensurepip", "_bundled")
    folders = [with_ensurepip, *(Path(folder) for folder in keeps if folder)]
    try:
        sys.path += [str(wheel) for folder in folders for wheel in folder.glob("pip-*.whl")]
        return str(importlib.import_module("pip._internal.models.index").PyPI.simple_url)
    except (ImportError, AttributeError):
        return ""
    finally:
        sys.path[:] = paths


def copy(source: IO[bytes], target: IO[bytes], limit: int) -> None:
    """Copy a stream, up to a limit in bytes.

    Raises
    ------
    UnavailableError
        If it is longer.
    """
    while block := source.read(1 << 18):
        limit -= len(block)
        if limit < 0:
            raise UnavailableError("it is larger than allowed")
        target.write(block)
