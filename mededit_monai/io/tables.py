# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Text as people's programs write it: encodings, YAML, CSV with any usual delimiter, and the file names in it."""

from __future__ import annotations

import csv
import io
import os
import re
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from mededit_monai.core.errors import InputError

#: Byte-order marks, the longer ones first: UTF-32's begins with UTF-16's.
_MARKS = (
    (b"\xff\xfe\x00\x00", "utf-32"),
    (b"\x00\x00\xfe\xff", "utf-32"),
    (b"\xef\xbb\xbf", "utf-8-sig"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)

#: First bytes of files that are no text.
_BINARY = (
    (b"\x1f\x8b", "a gzip file"),
    (b"\xd0\xcf\x11\xe0", "an Excel workbook"),  # .xls, of Excel up to 2003
    (b"%PDF", "a PDF document"),
    (b"\x89PNG", "a PNG image"),
    (b"\x5c\x01\x00\x00", "a NIfTI image"),
    (b"\x00\x00\x01\x5c", "a NIfTI image"),
    (b"PAR1", "a Parquet table"),
    (b"\x89HDF", "an HDF5 file"),
    (b"SQLite format 3", "a database"),
    (b"{\\rtf", "a rich-text document"),
)

#: Control characters that no text holds: all but tab, line ends, form feed and Ctrl-Z, the end of file of DOS.
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x19\x1b-\x1f]")

_SEP = re.compile(r'"?sep=(.)"?', re.IGNORECASE)


@dataclass(frozen=True)
class Table:
    """
    A CSV file.

    Args:
        columns: names of the header in lower case.
        rows: line number (from 1) and cells by column; a cell that is missing or empty is "".
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[int, dict[str, str]], ...]


def read_text(path: str | Path, wanted: str = "text", way_out: str = "save it as plain text") -> str:
    """
    A text file in whatever encoding it has; never in the locale's, which differs from machine to machine.

    UTF-8 and UTF-16 with or without byte-order mark are told apart by their bytes; what is neither is taken for
    Windows-1252, as Excel writes CSV. Line ends become ``\\n``.

    Args:
        wanted, way_out: what the file should be and how to make it so, for the message.

    Raises:
        InputError: a file that cannot be opened or is no text; says what it is.
    """
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); check its permissions.") from error
    try:
        text = _decoded(content)
    except _NotText as error:
        raise InputError(f"{path}: is not {wanted} but {error}; {way_out}.") from error
    return text.replace("\r\n", "\n").replace("\r", "\n")


def read_yaml(path: str | Path) -> Any:
    """
    Content of a YAML file.

    Raises:
        InputError: a file that cannot be opened or is no YAML; says in which line.
    """
    try:
        return yaml.safe_load(Path(path).read_bytes())
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); check its permissions.") from error
    except (yaml.YAMLError, ValueError) as error:
        mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
        told = f"line {mark.line + 1}: {problem}" if mark and problem else str(error).splitlines()[0]
        raise InputError(f"{path}: is not valid YAML ({told}); mend it.") from error


def read_table(path: str | Path) -> Table:
    """
    A CSV file whose first line names the columns, with commas, semicolons or tabs between the cells.

    Names of columns are stripped and lower case, cells are stripped, empty lines are left out. Rows may be shorter than
    the header: Excel leaves out empty cells at their end.

    Raises:
        InputError: no CSV, no header, a column that is there twice, a stray quote, or a row with more cells than the
            header; names the line.
    """
    text = read_text(path, "CSV", "save it as CSV (UTF-8)")
    header_line, delimiter = _first_line(text), None
    if match := _SEP.fullmatch(header_line.strip()):  # Excel's own hint
        text, delimiter = text.replace(header_line, "", 1), match[1]
        header_line = _first_line(text)
    lines: list[tuple[int, list[str]]] = []
    number = 1
    try:
        delimiter = delimiter or _delimiter(header_line)
        reader = csv.reader(io.StringIO(text), delimiter=delimiter, skipinitialspace=delimiter != "\t", strict=True)
        for row in reader:
            if any(cell.strip() for cell in row):
                lines.append((number, [cell.strip() for cell in row]))
            number = reader.line_num + 1
    except csv.Error as error:
        raise InputError(
            f"{path}: line {number} cannot be read as CSV ({error}); close every double quote and write one inside a "
            f"cell twice."
        ) from error
    if not lines:
        raise InputError(f"{path}: is empty, wanted a CSV file whose first line names the columns; fill it in.")
    header = [name.lower() for name in lines[0][1]]
    twice = next((name for name in header if name and header.count(name) > 1), None)
    if twice:
        raise InputError(f"{path}: has the column '{twice}' twice, wanted every column once; rename one of them.")
    rows = []
    for number, cells in lines[1:]:
        if len(cells) > len(header):  # even an empty one: a comma in a file name shifts the cells after it
            raise InputError(
                f"{path}: line {number} has {len(cells)} cells, but the header names {len(header)} columns; put a cell "
                f"that holds a '{delimiter}' in double quotes."
            )
        cells = cells + [""] * (len(header) - len(cells))
        rows.append((number, {name: cell for name, cell in zip(header, cells) if name}))
    return Table(tuple(name for name in header if name), tuple(rows))


def named_path(name: str | os.PathLike[str], folder: str | Path) -> Path:
    """
    The absolute path of a file as it is named: ``~`` expanded, relative to a folder, links kept.

    A cache of Hugging Face or DVC links ``T1.nii.gz`` to a blob whose own name says nothing, so that following the link
    would lose the ending.
    """
    joined = os.path.join(os.path.abspath(folder), os.path.expanduser(os.fspath(name)))
    plain = os.path.normpath(joined)
    # Beyond a linked folder '..' is not what the name says; the system's reading wins where the two differ.
    if plain != joined and os.path.exists(joined) and not (os.path.exists(plain) and os.path.samefile(plain, joined)):
        return Path(joined)
    return Path(plain)


class _NotText(ValueError):
    """Says what the bytes are instead."""


def _decoded(content: bytes) -> str:
    kind = next((kind for start, kind in _BINARY if content.startswith(start)), None)
    if content.startswith(b"PK\x03\x04"):
        kind = _zipped(content)
    if kind:
        raise _NotText(kind)
    encoding = next((name for mark, name in _MARKS if content.startswith(mark)), None) or _without_mark(content)
    for name in (encoding,) if encoding else ("utf-8", "cp1252", "latin-1"):
        try:
            text = content.decode(name)
        except UnicodeDecodeError:
            continue
        if _CONTROL.search(text):
            break
        return text.lstrip("\ufeff").rstrip("\x1a")
    raise _NotText(f"damaged {encoding.removesuffix('-sig').upper()} text" if encoding else "a binary file")


def _without_mark(content: bytes) -> str | None:
    """UTF-16 without byte-order mark: in Latin text about every second byte is 0, the others hardly ever."""
    even, odd = content[::2].count(0), content[1::2].count(0)
    for zeros, others, name in ((odd, even, "utf-16-le"), (even, odd, "utf-16-be")):
        if zeros and others * 20 <= zeros and len(content) % 2 == 0 and zeros * 4 >= len(content):
            return name
    return None


def _zipped(content: bytes) -> str:
    try:
        names = zipfile.ZipFile(io.BytesIO(content)).namelist()
    except (zipfile.BadZipFile, ValueError):
        names = []
    if any(name.startswith("xl/") for name in names):
        return "an Excel workbook"
    if any(name.startswith("Index/") for name in names):
        return "a Numbers spreadsheet"
    return "an OpenDocument spreadsheet" if "content.xml" in names else "a zip archive"


def _first_line(text: str) -> str:
    return next((line for line in text.split("\n") if line.strip()), "")


def _delimiter(header: str) -> str:
    """The one that makes the most cells of the header."""
    return max(",;\t", key=lambda mark: len(next(csv.reader([header], delimiter=mark), [])))
