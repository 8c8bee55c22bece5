"""Texts of a file or of standard input, one per line."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from ktt_core.errors import DataError, InvalidArgumentError, NotFoundError
from ktt_core.texts import MAX_TEXT_BYTES, check_text, is_blank

__all__ = ["TextLines"]

# First bytes of files in UTF-16 or UTF-32, and of packed files.
_MARKS = {
    b"\xff\xfe": "UTF-16 text",
    b"\xfe\xff": "UTF-16 text",
    b"\x1f\x8b": "a gzip file",
    b"PK\x03\x04": "a zip file, or a spreadsheet",
    b"PAR1": "a Parquet file",
}
# A byte-order mark, the largest text, and the line's end.
_LONGEST_LINE = 3 + MAX_TEXT_BYTES + 2


class TextLines:
    """The lines of a file, without their ends.

    Parameters
    ----------
    file : Path or None
        None for standard input.

    Attributes
    ----------
    interactive : bool
        Whether they are typed on a terminal.

    Raises
    ------
    NotFoundError, InvalidArgumentError
        If there is no such file, or it cannot be read.
    """

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self._name = "standard input" if file is None else str(file)
        self._stream = sys.stdin.buffer if file is None else _open(file)
        self.interactive = self._stream.isatty()

    def __iter__(self) -> Iterator[str]:
        """Yield the lines; blank ones that are typed are skipped.

        Raises
        ------
        DataError
            If a line cannot be classified, a blank one included (`ktt_core.texts.check_text`), or
            the file is obviously not a text file.
        """
        for number, line in enumerate(iter(lambda: self._stream.readline(_LONGEST_LINE), b""), 1):
            where = f"line {number:,} of {self._name}"
            is_whole = len(line) < _LONGEST_LINE or line.endswith(b"\n")
            if number == 1:
                self._check_kind(line)
                # Some editors start files with a byte-order mark, which is not part of the text.
                line = line.removeprefix(b"\xef\xbb\xbf")
            if not is_whole:
                raise DataError(
                    f"{where} has more than {MAX_TEXT_BYTES:,} bytes, the maximum size of a text"
                )
            try:
                text = line.decode("utf-8").rstrip("\r\n")
            except UnicodeDecodeError as error:
                raise DataError(
                    f"{where} is not UTF-8 (the byte "
                    f"0x{line[error.start]:02x} after {_before(line[: error.start])}). "
                    f"{self._advice('LATIN1')}"
                ) from None
            if self.interactive and is_blank(text):
                continue
            try:
                check_text(text, where)
            except InvalidArgumentError as error:
                raise DataError(str(error)) from None
            yield text

    def count(self) -> int | None:
        """Return the number of lines; None if counting would consume them, as for a pipe."""
        if self._file is None or not self._file.is_file():
            return None
        lines, last = 0, b""
        with _open(self._file) as stream:
            while block := stream.read(1 << 20):
                lines += block.count(b"\n")
                last = block
        return lines + (last != b"" and not last.endswith(b"\n"))

    def _check_kind(self, line: bytes) -> None:
        for mark, kind in _MARKS.items():
            if line.startswith(mark):
                advice = self._advice("UTF-16") if "UTF" in kind else "Give texts, one a line"
                raise DataError(f"{self._name} is {kind}, not UTF-8 text. {advice}")

    def _advice(self, encoding: str) -> str:
        name = "FILE" if self._name == "standard input" else self._name
        return (
            "Save it as UTF-8, or turn it into that from the encoding that it has, for example: "
            f"iconv -f {encoding} -t UTF-8 {name}"
        )


def _open(file: Path) -> BinaryIO:
    try:
        return file.open("rb")
    except FileNotFoundError:
        raise NotFoundError(f"there is no file {file}") from None
    except OSError as error:
        raise InvalidArgumentError(f"{file} cannot be read: {error.strerror}") from None


def _before(line: bytes) -> str:
    text = line.decode("utf-8")[-20:].lstrip()
    return repr(text) if text else "nothing"
