# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import gzip
import json

import numpy as np
import pytest
from PIL import Image

from mededit_monai.core.errors import InputError
from mededit_monai.io.whole import is_whole, read_whole

CONTENT = np.random.default_rng(0).integers(0, 4, 5000, dtype=np.uint8).tobytes()


def test_plain_and_compressed_content_whatever_the_name(tmp_path):
    for name, raw in (("a.nii", CONTENT), ("b.nii.gz", gzip.compress(CONTENT)), ("blob", gzip.compress(CONTENT))):
        (tmp_path / name).write_bytes(raw)
        assert read_whole(tmp_path / name) == CONTENT


def test_two_members_and_padding_are_gzip_too(tmp_path):
    path = tmp_path / "a.gz"
    path.write_bytes(gzip.compress(CONTENT) + gzip.compress(CONTENT) + b"\0" * 100)
    assert read_whole(path) == CONTENT * 2


@pytest.mark.parametrize(
    "damage",
    [
        lambda raw: raw[:-1],
        lambda raw: raw[:-4],
        lambda raw: raw[:-8],
        lambda raw: raw[: len(raw) // 2],
        lambda raw: raw[:-6] + bytes([raw[-6] ^ 1]) + raw[-5:],
        lambda raw: raw + b"hello",
        lambda raw: raw[:2],
        lambda raw: b"",
    ],
    ids=["a byte", "length", "checksum and length", "half", "one bit of the checksum", "more", "magic only", "nothing"],
)
def test_what_is_cut_damaged_or_longer_is_refused(tmp_path, damage):
    path = tmp_path / "a.nii.gz"
    path.write_bytes(damage(gzip.compress(CONTENT)))
    with pytest.raises(InputError, match="a.nii.gz: is (truncated or damaged|empty)"):
        read_whole(path)
    assert not is_whole(path)


def test_no_single_flipped_bit_passes_for_other_content(tmp_path):
    """Bits of gzip's own header (time, system) change nothing; any other is noticed."""
    raw, path, noticed = gzip.compress(CONTENT, mtime=0), tmp_path / "a.nii.gz", 0
    for bit in np.random.default_rng(1).integers(0, 8 * len(raw), 400).tolist():
        flipped = bytearray(raw)
        flipped[bit // 8] ^= 1 << bit % 8
        path.write_bytes(flipped)
        try:
            assert read_whole(path) in (CONTENT, bytes(flipped))  # the magic gone, it is no gzip any more
        except InputError:
            noticed += 1
    assert noticed > 380


@pytest.mark.parametrize("make, word", [(lambda p: None, "not found"), (lambda p: p.mkdir(), "is a folder")])
def test_what_is_no_file(tmp_path, make, word):
    make(tmp_path / "a")
    with pytest.raises(InputError, match=f"a: {word}"):
        read_whole(tmp_path / "a")


@pytest.mark.parametrize("ending", [".json", ".png", ".nii.gz", ".csv"])
def test_whole_and_cut_files_of_each_kind(tmp_path, ending):
    path = tmp_path / f"a{ending}"
    if ending == ".png":
        Image.fromarray(np.zeros((9, 9), np.uint8)).save(path)
    else:
        text = json.dumps({"a": [1, 2]}).encode()
        path.write_bytes(gzip.compress(text) if ending == ".nii.gz" else text)
    assert is_whole(path)
    path.write_bytes(path.read_bytes()[: -9 if ending != ".csv" else -1000])
    assert not is_whole(path) and not is_whole(tmp_path / "absent.json")
