# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""NRRD and MetaImage by their headers: what fields mean, what a copy keeps, what is refused."""

from __future__ import annotations

import bz2
import gzip
import zlib

import numpy as np
import pytest
from image_files import SHAPE, voxels

from mededit_monai.core.errors import InputError
from mededit_monai.io.nifti import NativeCopy, read_volume

NRRD = {
    "type": "short",
    "dimension": "3",
    "space": "left-posterior-superior",
    "sizes": "4 5 6",
    "space directions": "(2,0,0) (0,3,0) (0,0,4)",
    "space origin": "(10,20,30)",
    "endian": "little",
    "encoding": "raw",
}
META = {
    "ObjectType": "Image",
    "NDims": "3",
    "TransformMatrix": "1 0 0 0 1 0 0 0 1",
    "Offset": "10 20 30",
    "ElementSpacing": "2 3 4",
    "DimSize": "4 5 6",
    "ElementType": "MET_SHORT",
    "ElementDataFile": "LOCAL",
}

#: Where LPS lies in RAS.
LPS = np.array([[-2, 0, 0, -10], [0, -3, 0, -20], [0, 0, 4, 30], [0, 0, 0, 1.0]])


def nrrd(folder, content=None, name="T1.nrrd", extra="", **fields):
    lines = [f"{key}: {value}" for key, value in (NRRD | {k.replace("_", " "): v for k, v in fields.items()}).items()]
    text = "NRRD0004\n" + "\n".join(line for line in lines if not line.endswith(": None")) + "\n" + extra + "\n"
    (folder / name).write_bytes(text.encode() + (voxels().tobytes("F") if content is None else content))
    return folder / name


def meta(folder, content=None, name="T1.mha", **fields):
    every = META | fields
    every["ElementDataFile"] = every.pop("ElementDataFile")  # is the last
    text = "".join(f"{key} = {value}\n" for key, value in every.items() if value is not None)
    (folder / name).write_bytes(text.encode() + (voxels().tobytes("F") if content is None else content))
    return folder / name


@pytest.mark.parametrize("make", [nrrd, meta])
def test_lps_becomes_ras(tmp_path, make):
    volume = read_volume(make(tmp_path))
    assert np.array_equal(volume.native_affine, LPS) and volume.warnings == ()
    assert volume.data[0, 0, 0] == voxels()[3, 4, 0]  # the first voxel in RAS is the last one along L and P


@pytest.mark.parametrize(("space", "signs"), [("RAS", (1, 1, 1)), ("left-anterior-superior", (-1, 1, 1))])
def test_other_spaces(tmp_path, space, signs):
    volume = read_volume(nrrd(tmp_path, space=space))
    assert np.array_equal(volume.native_affine, np.diag([*signs, 1]) @ np.diag([-1, -1, 1, 1]) @ LPS)


@pytest.mark.parametrize("fields", [{"space": "scanner-xyz"}, {"space": "None", "space_dimension": "3"}])
def test_a_space_without_sides_is_a_guess(tmp_path, fields):
    volume = read_volume(nrrd(tmp_path, **fields))
    assert "left and right are a guess" in volume.warnings[0] and np.array_equal(volume.native_affine, LPS)


def test_spacings_alone(tmp_path):
    lacking = {"space": "None", "space_directions": "None", "space_origin": "None"}
    volume = read_volume(nrrd(tmp_path, spacings="2 3 4", **lacking))
    assert volume.spacing == (2, 3, 4) and "left and right are a guess" in volume.warnings[0]


def test_metaimage_without_directions_is_a_guess(tmp_path):
    path = meta(tmp_path, TransformMatrix=None)
    volume = read_volume(path)
    assert "no TransformMatrix" in volume.warnings[0] and np.array_equal(volume.native_affine, LPS)
    NativeCopy(volume).save(tmp_path / "copy.mha")
    assert "no TransformMatrix" in read_volume(tmp_path / "copy.mha").warnings[0]


@pytest.mark.parametrize("code", ["i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8"])
@pytest.mark.parametrize("order", ["<", ">"])
def test_every_type_in_both_byte_orders(tmp_path, code, order):
    dtype = np.dtype(code).newbyteorder(order)
    array = voxels(dtype)
    names = {"f4": "float", "f8": "double"}
    kinds = {"i1": "CHAR", "u1": "UCHAR", "i2": "SHORT", "u2": "USHORT", "i4": "INT", "u4": "UINT", "f4": "FLOAT"}
    kinds |= {"i8": "LONG_LONG", "u8": "ULONG_LONG", "f8": "DOUBLE"}
    kind = names.get(code, f"{'u' * (code[0] == 'u')}int{8 * int(code[1])}")
    given = nrrd(tmp_path, array.tobytes("F"), type=kind, endian="little" if order == "<" else "big")
    other = meta(
        tmp_path, array.tobytes("F"), ElementType=f"MET_{kinds[code]}", BinaryDataByteOrderMSB=str(order == ">")
    )
    for path in (given, other):
        volume = read_volume(path)
        copy = NativeCopy(volume)
        assert np.array_equal(copy.native_volume(), array.astype(np.float32))
        copy.save(tmp_path / f"copy{volume.ending}")
        content = (tmp_path / f"copy{volume.ending}").read_bytes()
        assert content.endswith(array.tobytes("F")) and read_volume(tmp_path / f"copy{volume.ending}").warnings == ()


def test_a_copy_of_nrrd_keeps_every_line_that_holds(tmp_path):
    extra = "# by hand\nkinds: domain domain domain\ncontent: a head\nmeasurement frame: (1,0,0) (0,1,0) (0,0,1)\n"
    path = nrrd(tmp_path, extra=extra + "max: 120\nmine:=kept: as it is\n")
    NativeCopy(read_volume(path)).save(tmp_path / "copy.nrrd")
    before, after = (p.read_bytes().split(b"\n\n", 1) for p in (path, tmp_path / "copy.nrrd"))
    added = set(after[0].split(b"\n")) - set(before[0].split(b"\n"))
    gone = set(before[0].split(b"\n")) - set(after[0].split(b"\n"))
    assert added == {b"mededit_monai:=synthetic (mededit_monai); research use only, not a medical device"}
    assert gone == {b"max: 120"} and before[1] == after[1]
    twice = tmp_path / "twice.nrrd"
    NativeCopy(read_volume(tmp_path / "copy.nrrd")).save(twice)
    assert twice.read_bytes() == (tmp_path / "copy.nrrd").read_bytes()


def test_a_copy_of_metaimage_keeps_what_else_is_said(tmp_path):
    path = meta(tmp_path, Modality="MET_MOD_MR", Comment="mine", HeaderSize="0")
    NativeCopy(read_volume(path)).save(tmp_path / "copy.mha")
    text, content = (tmp_path / "copy.mha").read_bytes().split(b"ElementDataFile = LOCAL\n")
    assert b"Modality = MET_MOD_MR\n" in text and b"Comment = synthetic" in text and text.count(b"Comment") == 1
    assert content == voxels().tobytes("F")


@pytest.mark.parametrize(
    ("encoding", "pack"), [("gzip", gzip.compress), ("gz", gzip.compress), ("bzip2", bz2.compress)]
)
def test_compressed_nrrd_stays_so(tmp_path, encoding, pack):
    path = nrrd(tmp_path, pack(voxels().tobytes("F")), encoding=encoding)
    NativeCopy(read_volume(path)).save(tmp_path / "copy.nrrd")
    assert f"encoding: {encoding}\n".encode() in (tmp_path / "copy.nrrd").read_bytes()
    assert np.array_equal(NativeCopy(read_volume(tmp_path / "copy.nrrd")).native_volume(), voxels())


@pytest.mark.parametrize("make", [nrrd, meta])
def test_checksums_are_read(tmp_path, make):
    packed = bytearray((gzip if make is nrrd else zlib).compress(voxels().tobytes("F")))
    packed[-6] ^= 1
    path = make(tmp_path, bytes(packed), **({"encoding": "gzip"} if make is nrrd else {"CompressedData": "True"}))
    with pytest.raises(InputError, match="truncated or damaged"):
        read_volume(path)


def test_voxels_beside_the_header(tmp_path):
    (tmp_path / "T1.raw").write_bytes(b"head" + voxels().tobytes("F"))
    for path in (
        nrrd(tmp_path, b"", "T1.nhdr", data_file="T1.raw", byte_skip="-1"),
        nrrd(tmp_path, b"", "T2.nhdr", data_file="./T1.raw", byte_skip="4"),
        meta(tmp_path, b"", "T1.mhd", ElementDataFile="T1.raw", HeaderSize="-1"),
        meta(tmp_path, b"", "T2.mhd", ElementDataFile="T1.raw", HeaderSize="4"),
    ):
        assert np.array_equal(NativeCopy(read_volume(path)).native_volume(), voxels())


@pytest.mark.parametrize("name", ["/etc/passwd", "../T1.raw", "a/../../T1.raw", "..\\T1.raw", "C:T1.raw"])
def test_no_header_points_out_of_its_folder(tmp_path, name):
    for path in (
        nrrd(tmp_path, b"", "T1.nhdr", data_file=name),
        meta(tmp_path, b"", "T1.mhd", ElementDataFile=name),
    ):
        with pytest.raises(InputError, match="wanted one in its own folder"):
            read_volume(path)


def test_channels_are_volumes(tmp_path):
    array = np.stack([voxels(), voxels() + 1000])
    path = meta(tmp_path, array.tobytes("F"), ElementNumberOfChannels="2")
    with pytest.raises(InputError, match="2 volumes along the fourth axis"):
        read_volume(path)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"type": "block"}, "voxels of type 'block'"),
        ({"encoding": "hex"}, "'encoding: hex', wanted one of raw, gzip, bzip2"),
        ({"data_file": "LIST"}, "voxels in several files"),
        ({"dimension": "2", "sizes": "4 5", "space_directions": "(1,0,0) (0,1,0)"}, "of which 2 are in space"),
        ({"sizes": "4 5"}, "has 2 'sizes', wanted 3"),
        ({"sizes": "4 5 -6"}, "truncated or damaged"),
        ({"sizes": "400000000 500000000 600000000"}, "truncated or damaged"),
        ({"space_directions": "(0,0,0) (0,3,0) (0,0,4)"}, "unusable affine"),
        ({"space_units": '"m" "m" "m"'}, "lengths in m, wanted mm"),
        (
            {
                "dimension": "4",
                "sizes": "3 2 4 5",
                "kinds": "RGB-color domain domain domain",
                "space_directions": "none (1,0,0) (0,1,0) (0,0,1)",
            },
            "holds colours",
        ),
        ({"endian": "middle"}, "wanted little or big"),
        ({"space_origin": "(a,b,c)"}, "cannot be read as NRRD"),
    ],
)
def test_refused_nrrd(tmp_path, fields, words):
    with pytest.raises(InputError, match=words) as caught:
        read_volume(nrrd(tmp_path, **fields))
    assert str(tmp_path / "T1.nrrd") in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"ElementType": "MET_STRING"}, "voxels of type 'MET_STRING'"),
        ({"DimSize": "4 5"}, "has the size '4 5'"),
        ({"NDims": "two"}, "cannot be read as MetaImage"),
        ({"DimSize": "400000000 500000000 600000000"}, "truncated or damaged"),
        ({"ElementDataFile": "LIST"}, "voxels in several files"),
        ({"BinaryData": "False"}, "voxels as text"),
        ({"TransformMatrix": "1 0 0"}, "3 numbers in 'transformmatrix', wanted 9"),
        ({"ElementSpacing": "0 1 1"}, "unusable affine"),
        ({"ElementToIntensityFunctionSlope": "2"}, "a slope or offset of its intensities"),
    ],
)
def test_refused_metaimage(tmp_path, fields, words):
    with pytest.raises(InputError, match=words) as caught:
        read_volume(meta(tmp_path, **fields))
    assert str(tmp_path / "T1.mha") in str(caught.value) and "\n" not in str(caught.value)


def test_the_shape_is_the_header_s(tmp_path):
    assert read_volume(nrrd(tmp_path)).native_shape == SHAPE == read_volume(meta(tmp_path)).native_shape
