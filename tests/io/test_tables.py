# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Text in the encodings that people's programs write, CSV with any delimiter, and file names kept as they are."""

from __future__ import annotations

import gzip
import io
import struct
import zipfile
from pathlib import Path

import pytest

from mededit_monai.core.errors import InputError
from mededit_monai.io.tables import named_path, read_table, read_text

TEXT = "case_id,patient\na,Müller\n"


def zipped(name: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(name, "x")
    return buffer.getvalue()


# --- encodings -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "latin-1", "cp1252"]
)
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_encodings(tmp_path, encoding, end):
    (tmp_path / "t").write_bytes(TEXT.replace("\n", end).encode(encoding))
    assert read_text(tmp_path / "t") == TEXT


@pytest.mark.parametrize(
    "content, text",
    [
        (b"", ""),
        (b"\xfe\xff" + TEXT.encode("utf-16-be"), TEXT),
        (b"\xef\xbb\xbf\xef\xbb\xbfa", "a"),  # saved twice with a mark
        ("Łódź, 北京".encode("utf-16"), "Łódź, 北京"),
        (b"\x93a\x94 \x96 \x80", "“a” – €"),  # Windows-1252 alone has these
        (b"a\x81b", "a\x81b"),
        (b"a,b\r\n\x1a", "a,b\n"),
    ],
)
def test_less_usual_bytes(tmp_path, content, text):
    (tmp_path / "t").write_bytes(content)
    assert read_text(tmp_path / "t") == text


@pytest.mark.parametrize(
    "content, what",
    [
        (gzip.compress(b"a,b"), "a gzip file"),
        (zipped("xl/workbook.xml"), "an Excel workbook"),
        (zipped("content.xml"), "an OpenDocument spreadsheet"),
        (zipped("Index/Document.iwa"), "a Numbers spreadsheet"),
        (zipped("a.txt"), "a zip archive"),
        (zipped("xl/workbook.xml")[:30], "a zip archive"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an Excel workbook"),
        (struct.pack("<i", 348) + bytes(344), "a NIfTI image"),
        (struct.pack(">i", 348) + bytes(344), "a NIfTI image"),
        (b"a,b\x00\x01\x02", "a binary file"),
        ("a,b".encode("utf-16") + b"x", "damaged UTF-16 text"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",  # archives hold the time: other names in each process
)
def test_what_is_no_text_is_named(tmp_path, content, what):
    path = tmp_path / "own.csv"
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        read_table(path)
    assert str(caught.value) == f"{path}: is not CSV but {what}; save it as CSV (UTF-8)."


def test_a_file_that_cannot_be_opened(tmp_path):
    with pytest.raises(InputError, match=r"none.csv: cannot be read \(No such file or directory\); check"):
        read_text(tmp_path / "none.csv")
    with pytest.raises(InputError, match="cannot be read .*; check its permissions"):
        read_text(tmp_path)


# --- CSV -------------------------------------------------------------------------------------------------------------


def table(folder: Path, *lines: str) -> Path:
    path = folder / "own.csv"
    path.write_bytes("\r\n".join(lines).encode())
    return path


@pytest.mark.parametrize(
    "lines",
    [
        ["case_id,image", "a,x.nii"],
        ["case_id;image", "a;x.nii"],
        ["case_id\timage", "a\tx.nii"],
        [" Case_ID , IMAGE ", " a , x.nii "],
        ['"case_id", "image"', '"a", "x.nii"'],
        ["sep=;", "case_id;image", "a;x.nii"],
        ["", "case_id,image", " ", ",", "a,x.nii", "", ""],
        ["case_id,image,,", "a,x.nii,,"],
        ["case_id,image", ",,,,", "a,x.nii"],
    ],
)
def test_cells(tmp_path, lines):
    found = read_table(table(tmp_path, *lines))
    assert found.columns == ("case_id", "image") and [cells for _, cells in found.rows] == [
        {"case_id": "a", "image": "x.nii"}
    ]


def test_what_a_cell_may_hold(tmp_path):
    found = read_table(
        table(tmp_path, "a;b;c", '"x;y";"say ""so""";C:\\t1.nii', "# no comment;2,5", '"two', 'lines";;3', "d;e;f")
    )
    assert found.rows == (
        (2, {"a": "x;y", "b": 'say "so"', "c": "C:\\t1.nii"}),
        (3, {"a": "# no comment", "b": "2,5", "c": ""}),
        (4, {"a": "two\nlines", "b": "", "c": "3"}),
        (6, {"a": "d", "b": "e", "c": "f"}),
    )


@pytest.mark.parametrize(
    "lines, said",
    [
        (["a,b", "", "1,2,3"], "line 3 has 3 cells, but the header names 2 columns; put a cell that holds a ','"),
        (["a,b", "1,2,"], "line 2 has 3 cells, but the header names 2 columns; put a cell that holds a ','"),
        (["sep=;", "a;b", "1;2;3"], "line 3 has 3 cells, but the header names 2 columns; put a cell that holds a ';'"),
        (["a,b", '"1,2'], "line 2 cannot be read as CSV"),
        (["a,b", '1,"2"x'], "line 2 cannot be read as CSV"),
        (["a,b, A", "1,2,3"], "has the column 'a' twice"),
        (["", " "], "is empty, wanted a CSV file whose first line names the columns"),
        (["x" * 200_000], "line 1 cannot be read as CSV"),
    ],
)
def test_tables_that_are_none(tmp_path, lines, said):
    path = table(tmp_path, *lines)
    with pytest.raises(InputError) as caught:
        read_table(path)
    sentence = str(caught.value)
    assert sentence.startswith(f"{path}: {said}") and sentence.endswith(".") and "\n" not in sentence


# --- file names ------------------------------------------------------------------------------------------------------


def test_names_are_made_absolute_but_links_are_kept(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "blob").touch()
    (tmp_path / "t1.nii.gz").symlink_to("blob")
    for name, wanted in (
        ("t1.nii.gz", "t1.nii.gz"),
        ("./a/../t1.nii.gz", "t1.nii.gz"),
        ("~/t1.nii.gz", "home/t1.nii.gz"),
        ("~nobody_of_that_name/t1.nii", "~nobody_of_that_name/t1.nii"),
        (tmp_path / "none" / "x.nii", "none/x.nii"),
    ):
        assert named_path(name, tmp_path) == tmp_path / wanted
    monkeypatch.chdir(tmp_path)
    assert named_path("x.nii", Path()) == tmp_path / "x.nii"


def test_beyond_a_linked_folder_the_file_that_is_there_is_meant(tmp_path):
    (tmp_path / "disk" / "out").mkdir(parents=True)
    (tmp_path / "out").symlink_to(tmp_path / "disk" / "out")
    (tmp_path / "disk" / "a.nii").touch()
    assert named_path("../a.nii", tmp_path / "out").samefile(tmp_path / "disk" / "a.nii")
    (tmp_path / "b.nii").touch()
    assert named_path("../b.nii", tmp_path / "out") == tmp_path / "b.nii"
