"""Finding an encoder by its folder or its name."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from ktt_core.errors import (
    InvalidArgumentError,
    KttError,
    MissingEncoderError,
    NotFoundError,
    UnavailableError,
)
from ktt_models.pytorch.encoders.folder import CONFIG_FILE, read_facts

__all__ = ["ENCODERS_VARIABLE", "cache_folder", "find_encoder"]

#: Folders that hold encoders' folders, separated as in PATH.
ENCODERS_VARIABLE = "KTT_ENCODERS"

_HUB_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*(/[A-Za-z0-9_][A-Za-z0-9_.-]*)?")

# Downloaded files: no pickles, no code, and no weights of other frameworks.
_FETCHED = [
    CONFIG_FILE,
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "model.safetensors",
    "model-*.safetensors",
    "model.safetensors.index.json",
]


def find_encoder(encoder: str | Path, download: bool = False) -> Path:
    """Return the folder of an encoder, after a check of its files.

    Searched in this order: a folder of that path; a folder of that name in a folder of
    ``KTT_ENCODERS``; the local Hugging Face cache; an installed package of that name that carries
    an encoder; and, if `download`, the hub.

    Parameters
    ----------
    encoder : str or Path
        A folder, or a name.
    download : bool
        Whether it may be downloaded into the local Hugging Face cache, if it is not there already.

    Raises
    ------
    MissingEncoderError
        If no encoder has that name; the message says in one line how to get one.
    NotFoundError
        If it is not a name and there is no such folder, or files of it are missing.
    InvalidArgumentError
        If it cannot be a path or a name.
    UnsupportedError, DataError
        As `read_facts`.
    UnavailableError
        If the hub cannot be reached, or has no such encoder.
    """
    text = str(encoder)
    if not text.strip() or "\0" in text:
        raise InvalidArgumentError(
            f"encoder = {text!r:.80} is neither a folder nor a name", field="encoder"
        )
    path = _expanded(text)
    if path is not None:
        read_facts(path)
        return path
    is_name = _HUB_NAME.fullmatch(text) is not None and len(text) <= 96
    problem: KttError | None = None
    for folder in _places(text) if is_name else ():
        try:
            read_facts(folder)
            return folder
        except KttError as error:
            # Another place may have a complete one.
            problem = problem or error
    if download and is_name:
        folder = _download(text)
        read_facts(folder)
        return folder
    if problem is not None:
        raise problem
    if is_name:
        raise MissingEncoderError(_how_to_get_one(text))
    raise NotFoundError(_how_to_give_a_folder(text))


def _expanded(text: str) -> Path | None:
    """Return the folder with that path, if it exists."""
    try:
        path = Path(text).expanduser()
        return path if path.is_dir() else None
    except (OSError, RuntimeError):
        # The name is too long, the folder cannot be read, or the user is unknown.
        return None


def cache_folder() -> Path:
    """Return the folder of the local Hugging Face cache, from its environment variables."""
    for variable in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        if value := os.environ.get(variable):
            return Path(value).expanduser()
    if home := os.environ.get("HF_HOME"):
        return Path(home).expanduser() / "hub"
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(cache).expanduser() / "huggingface" / "hub"


def encoder_folders() -> list[Path]:
    """Return the folders that ``KTT_ENCODERS`` names."""
    value = os.environ.get(ENCODERS_VARIABLE, "")
    return [Path(part).expanduser() for part in value.split(os.pathsep) if part]


def snapshot(repository: Path) -> Path | None:
    """Return the folder of a cached repository's main revision, or else of its newest."""
    snapshots = repository / "snapshots"
    try:
        main = (repository / "refs" / "main").read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        main = ""
    if main and main == Path(main).name and (snapshots / main).is_dir():
        return snapshots / main
    try:
        found = [entry for entry in snapshots.iterdir() if entry.is_dir()]
        return max(found, key=lambda entry: entry.stat().st_mtime, default=None)
    except OSError:
        return None


def package_folders() -> Iterator[tuple[str, Path]]:
    """Yield installed packages that contain an encoder, and its folder, without importing them."""
    for place in dict.fromkeys(sys.path):
        if not place.endswith("-packages") and "site-packages" not in place:
            continue
        try:
            packages = sorted(entry.path for entry in os.scandir(place) if entry.is_dir())
        except OSError:
            continue
        for package in packages:
            if (folder := _inside(Path(package))) is not None:
                yield folder


def _inside(package: Path) -> tuple[str, Path] | None:
    for folder in (package, package / "model"):
        if (folder / CONFIG_FILE).is_file() and (folder / "tokenizer.json").is_file():
            return package.name, folder
    return None


def _places(name: str) -> Iterator[Path]:
    for folder in encoder_folders():
        if (folder / name).is_dir():
            yield folder / name
    found = snapshot(cache_folder() / f"models--{name.replace('/', '--')}")
    if found is not None:
        yield found
    for package, folder in package_folders():
        if name in (package, package.replace("_", "-")):
            yield folder


def _download(name: str) -> Path:
    from huggingface_hub import snapshot_download

    try:
        return Path(
            snapshot_download(
                name,
                cache_dir=cache_folder(),
                allow_patterns=_FETCHED,
                endpoint=os.environ.get("HF_ENDPOINT"),
            )
        )
    except Exception as error:  # from its own, the HTTP library's, or the file system
        status = _answered(error)
        if status is not None:
            raise UnavailableError(
                f"the hub refused the encoder {name!r} (HTTP {status}): check the name; one "
                "that requires accepting a licence needs a token in HF_TOKEN"
            ) from error
        raise UnavailableError(
            f"the encoder {name!r} cannot be fetched from the hub: {_first_line(error)}. Check the "
            "network, or give a local folder instead"
        ) from error


def _answered(error: BaseException | None) -> int | None:
    """Return the HTTP status of the hub's answer, if it was reached."""
    while error is not None:
        status = getattr(getattr(error, "response", None), "status_code", None)
        if isinstance(status, int):
            return status
        error = error.__cause__
    return None


def _how_to_get_one(name: str) -> str:
    found = [found for found, _ in package_folders()]
    here = f" (here: {', '.join(dict.fromkeys(found))})" if found else ""
    return (
        f"there is no encoder {name!r} here: fetch it once from the Hugging Face hub with "
        f"--download, or give --encoder a name that `ktt encoders list` shows{here} or the folder "
        "of one"
    )


def _how_to_give_a_folder(path: str) -> str:
    shown = path if len(path) <= 200 else f"{path[:200]}..."
    return (
        f"there is no folder {shown!r} here: give --encoder the folder of an encoder, with "
        f"{CONFIG_FILE}, model.safetensors and tokenizer.json, or a name that `ktt encoders list` "
        "shows"
    )


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:300] if lines else type(error).__name__
