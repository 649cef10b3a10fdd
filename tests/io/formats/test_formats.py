# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Every format: the same voxels at the same places, and a copy that differs in what was changed alone."""

from __future__ import annotations

import gzip

import nibabel as nib
import numpy as np
import pytest
from image_files import AFFINES, SHAPE, read_itk, voxels, write_itk

from mededit_monai.core.errors import InputError
from mededit_monai.io.formats.registry import FORMATS, files_of, image_sha256, image_stem, is_image, is_there
from mededit_monai.io.nifti import NativeCopy, read_echo, read_volume

TEXT = ["T1.nrrd", "T1.nhdr", "T1.mha", "T1.mhd"]


def written(folder, name, array, affine):
    """A file by the name's format."""
    path = folder / name
    if name.endswith((".mgz", ".mgh")):
        nib.save(nib.MGHImage(array, affine), path)
    elif name.endswith(".img"):
        nib.save(nib.Nifti1Pair(array, affine), path)
    else:
        write_itk(path, array, affine, compressed=name.startswith("packed"))
    return path


@pytest.mark.parametrize("kind", AFFINES)
@pytest.mark.parametrize("name", ["T1.mgz", "T1.mgh", "T1.img", *TEXT, "packed.nrrd", "packed.mha"])
def test_voxels_lie_where_they_lay(tmp_path, name, kind):
    affine, array = AFFINES[kind], voxels()
    volume = read_volume(written(tmp_path, name, array, affine))
    assert np.allclose(volume.native_affine, affine, atol=1e-4) and volume.native_shape == SHAPE
    assert volume.warnings == () and volume.data.dtype == np.float32
    for place in ((0, 0, 0), (3, 0, 0), (0, 4, 0), (1, 2, 5)):
        ras = np.linalg.solve(volume.affine, affine @ [*place, 1])[:3]
        assert volume.data[tuple(np.rint(ras).astype(int))] == array[place]


@pytest.mark.parametrize("kind", AFFINES)
@pytest.mark.parametrize(("name", "out"), [(n, n.replace("hdr", "rrd").replace("mhd", "mha")) for n in TEXT])
def test_itk_reads_a_copy_as_the_original_with_one_voxel_changed(tmp_path, name, out, kind):
    array = voxels()
    volume = read_volume(written(tmp_path, name, array, AFFINES[kind]))
    assert (volume.copy_name, volume.format_warnings) == (out, ())
    copy = NativeCopy(volume)
    where = np.zeros(volume.data.shape, bool)
    where[1, 2, 3] = True
    copy.replace(np.full(where.shape, 999.0), where)
    (tmp_path / "out").mkdir()
    copy.save(tmp_path / "out" / out)
    found, affine = read_itk(tmp_path / "out" / out)
    assert found.dtype == np.int16 and np.allclose(affine, AFFINES[kind], atol=1e-6)
    assert (found != array).sum() == 1 and found[NativeCopy.to_native(where, volume)].tolist() == [999]
    assert b"synthetic (mededit_monai)" in (tmp_path / "out" / out).read_bytes()
    again = read_volume(tmp_path / "out" / out)
    assert again.synthetic and not volume.synthetic and np.array_equal(again.native_affine, volume.native_affine)


@pytest.mark.parametrize("code", [np.uint8, np.int16, np.int32, np.float32])
def test_a_copy_of_mgz_has_its_bytes(tmp_path, code):
    path = written(tmp_path, "T1.mgz", voxels(code), AFFINES["left-handed"])
    content = gzip.decompress(path.read_bytes()) + b"tag"  # what FreeSurfer appends
    path.write_bytes(gzip.compress(content))
    NativeCopy(read_volume(path)).save(tmp_path / "copy.mgz")
    assert gzip.decompress((tmp_path / "copy.mgz").read_bytes()) == content
    copy = NativeCopy(read_volume(path))
    copy.replace(np.full((4, 5, 6), 7.0), np.ones((4, 5, 6), bool))
    copy.save(tmp_path / "seven.mgz")
    found = nib.load(tmp_path / "seven.mgz")
    assert found.get_data_dtype() == np.dtype(code).newbyteorder(">") and (np.asarray(found.dataobj) == 7).all()
    assert np.allclose(found.affine, AFFINES["left-handed"], atol=1e-4)


def test_mgz_without_directions(tmp_path):
    path = written(tmp_path, "T1.mgh", voxels(), AFFINES["straight"])
    content = bytearray(path.read_bytes())
    content[28:30] = bytes(2)  # its RAS flag
    path.write_bytes(bytes(content))
    (warning,) = read_volume(path).warnings
    assert "RAS flag is 0" in warning and "read as LIA, as FreeSurfer does, so left and right are a guess" in warning


def test_analyze_says_nothing_of_sides(tmp_path):
    nib.save(nib.AnalyzeImage(voxels(), np.diag([-1.0, 2, 3, 1])), tmp_path / "T1.img")
    for name in ("T1.img", "T1.hdr"):
        volume = read_volume(tmp_path / name)
        (warning,) = volume.warnings
        assert "does not say which side is left" in warning and "read as LAS, so left and right are a guess" in warning
        assert "Analyze is not written, so what is made of it is NIfTI (.nii.gz)." in volume.format_warnings[0]
        assert volume.copy_name == "T1.nii.gz"
        assert volume.spacing == (1, 2, 3) and volume.data[0, 1, 2] == voxels()[3, 1, 2]
    NativeCopy(volume).save(tmp_path / "copy.nii.gz")
    copy = read_volume(tmp_path / "copy.nii.gz")  # the guess is not written as if it were known
    assert "left and right are a guess" in copy.warnings[0] and np.array_equal(copy.affine, volume.affine)


def test_analyze_with_slices_in_another_plane(tmp_path):
    nib.save(nib.AnalyzeImage(voxels(), np.eye(4)), tmp_path / "T1.img")
    header = bytearray((tmp_path / "T1.hdr").read_bytes())
    header[252] = 2
    (tmp_path / "T1.hdr").write_bytes(bytes(header))
    with pytest.raises(InputError, match="orient is 2, wanted 0, axial.*mri_convert"):
        read_volume(tmp_path / "T1.img")


def test_spm_says_more_in_its_mat_file(tmp_path):
    affine = AFFINES["oblique"]
    nib.save(nib.Spm2AnalyzeImage(voxels(), affine), tmp_path / "T1.img")
    volume = read_volume(tmp_path / "T1.hdr")
    assert np.allclose(volume.native_affine, affine, atol=1e-4) and "SPM's T1.mat" in volume.warnings[0]
    assert [file.name for file in files_of(tmp_path / "T1.img")] == ["T1.hdr", "T1.img", "T1.mat"]


@pytest.mark.parametrize("second", [nib.Nifti1Pair, nib.Nifti2Pair])
def test_a_pair_of_nifti_files_becomes_one(tmp_path, second):
    image = second(voxels(), AFFINES["oblique"])
    image.header.set_slope_inter(0.5, -3)
    image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"kept"))
    nib.save(image, tmp_path / "T1.hdr")
    volume = read_volume(tmp_path / "T1.img")
    assert (volume.copy_name, volume.format_warnings, volume.kind) == ("T1.nii.gz", (), "nifti_pair")
    NativeCopy(volume).save(tmp_path / "one.nii.gz")
    one = nib.load(tmp_path / "one.nii.gz")
    assert np.array_equal(one.get_fdata(), nib.load(tmp_path / "T1.img").get_fdata())
    assert one.header.extensions[0].get_content() == b"kept" and one.dataobj.slope == 0.5


def test_what_is_in_a_file_decides_and_not_its_name(tmp_path):
    path = written(tmp_path, "T1.nrrd", voxels(), AFFINES["oblique"])
    volume = read_volume(path.rename(tmp_path / "T1.nii.gz"))
    assert (volume.kind, volume.copy_name) == ("nrrd", "T1.nrrd")


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("T1.mnc", b"CDF\x01", "is MINC, which is not read; convert it to NIfTI with mnc2nii"),
        ("T1.BRIK", b"\0\1\2", "is AFNI.*3dAFNItoNIFTI"),
        ("T1.par", b"# === DATA", "is Philips PAR/REC.*dcm2niix"),
        ("T1.png", b"\x89PNG", "a PNG picture"),
        ("T1.dat", b"something", "cannot be read as NIfTI.*convert it to NIfTI, with dcm2niix if it is DICOM"),
        ("T1.dcm", bytes(128) + b"DICM", "is a single DICOM file, wanted the folder.*dcm2niix"),
        ("T1.mgz", b"nothing", "is no FreeSurfer MGH file"),
        ("T1.nrrd", b"nothing", "is no NRRD file"),
        ("T1.mha", b"nothing", "is no MetaImage"),
        ("T1.hdr", b"nothing", "goes with T1.img, which is not there"),
    ],
)
def test_what_cannot_be_read_is_told_the_converter(tmp_path, name, content, words):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=words):
        read_volume(tmp_path / name)


@pytest.mark.one_in(4)
@pytest.mark.parametrize("name", ["T1.mgh", "T1.img", *TEXT, "packed.nrrd", "packed.mha"])
def test_cut_short_or_damaged_is_one_sentence(tmp_path, name):
    path = written(tmp_path, name, voxels(), AFFINES["oblique"])
    damaged = files_of(path)[-1]  # where the voxels are
    whole, rng = damaged.read_bytes(), np.random.default_rng(0)
    for keep in (len(whole) - 1, len(whole) // 2, 3):
        if name == "T1.mgh" and keep == len(whole) - 1:
            continue  # behind the voxels; nothing is missing
        damaged.write_bytes(whole[:keep])
        with pytest.raises(InputError, match="truncated or damaged|cut short|begins? with|is no |has no field"):
            read_volume(path)
    for _ in range(60):
        flipped = bytearray(whole)
        place = int(rng.integers(min(len(whole), 700)))
        flipped[place] ^= 1 << int(rng.integers(8))
        damaged.write_bytes(bytes(flipped))
        try:
            read_volume(path)
        except InputError as error:
            assert str(path.name) in str(error)


def several(folder, name):
    """Three volumes, of which number k holds values from 1000 k on."""
    array = np.stack([voxels() + 1000 * k for k in range(3)], axis=3)
    path, affine = folder / name, AFFINES["oblique"]
    if name.endswith(".mgz"):
        nib.save(nib.MGHImage(array, affine), path)
    elif name.endswith(".nii"):
        image = nib.Nifti1Image(array, affine)
        image.header.set_slope_inter(2, 1)
        nib.save(image, path)
    else:
        lps = np.diag([-1.0, -1, 1, 1]) @ affine
        vectors = ["(" + ",".join(map(repr, map(float, column))) + ")" for column in lps[:3].T]
        packed = np.moveaxis(array, 3, 0) if name.startswith("first") else array
        order = ["none", *vectors[:3]] if name.startswith("first") else [*vectors[:3], "none"]
        kinds = "list domain domain domain" if name.startswith("first") else "domain domain domain list"
        head = f"NRRD0005\ntype: int16\ndimension: 4\nspace: LPS\nsizes: {' '.join(map(str, packed.shape))}\n"
        head += f"space directions: {' '.join(order)}\nkinds: {kinds}\nspace origin: {vectors[3]}\n"
        head += 'labels: "a b" "c" "d" "e"\nendian: little\nencoding: raw\nmine:=kept\n\n'
        path.write_bytes(head.encode() + packed.tobytes("F"))
    return path


@pytest.mark.parametrize("name", ["T1.nii", "T1.mgz", "first.nrrd", "last.nrrd"])
def test_one_volume_of_several(tmp_path, name):
    path = several(tmp_path, name)
    with pytest.raises(InputError, match=r"3 volumes along the fourth axis, wanted one; save a single volume"):
        read_volume(path)
    with pytest.raises(InputError, match=r"3 volumes .* choose one with --echo, from 0 to 2, or save"):
        read_echo(path, None)
    with pytest.raises(InputError, match=r"--echo: got 3, but .* holds 3 volumes; wanted its index .* from 0 to 2"):
        read_echo(path, 3)
    volume = read_echo(path, 2)
    slope, inter = (2, 1) if name == "T1.nii" else (1, 0)
    assert f"{name}: holds 3 volumes; number 2 (from 0) was taken, and is written as a 3-D image." in volume.warnings
    native = NativeCopy(volume).native_volume()
    if name == "T1.nii":
        assert np.allclose(np.unique(native) % 2, np.unique(native[0, 0, 0]) % 2)
    else:
        assert np.array_equal(native, voxels() + 2000.0)
    assert (slope, inter) == (NativeCopy(volume).slope, NativeCopy(volume).inter)
    assert np.allclose(volume.native_affine, AFFINES["oblique"], atol=1e-4)
    place = tmp_path / f"edited{volume.ending}"
    NativeCopy(volume).save(place)
    again = read_volume(place)
    assert again.warnings == () and np.array_equal(NativeCopy(again).native_volume(), native)
    if place.suffix == ".nrrd":
        assert b"mine:=kept\n" in place.read_bytes() and b"dimension: 3\n" in place.read_bytes()
        assert np.array_equal(read_itk(place)[0], voxels() + 2000)


@pytest.mark.parametrize("shape", [(4, 5, 6), (4, 5, 6, 1)])
def test_an_echo_of_one_volume(tmp_path, shape):
    nib.save(nib.Nifti1Image(voxels(np.int16, shape), np.eye(4)), tmp_path / "T1.nii")
    with pytest.raises(InputError, match=r"--echo: got 0, but .* holds one volume"):
        read_echo(tmp_path / "T1.nii", 0)
    assert read_echo(tmp_path / "T1.nii", None).native_shape == SHAPE


def test_names(tmp_path):
    assert [image_stem(f"a/T1.b{end}") for end in (".nii.gz", ".NII", ".mgz", ".nhdr", ".img.gz", ".txt")] == [
        *["T1.b"] * 5,
        "T1.b.txt",
    ]
    assert [name for name in ("a.mha", "a.MGZ", "a.hdr", "a.img", "a.json") if is_image(tmp_path / name)] == [
        "a.mha",
        "a.MGZ",
        "a.hdr",
    ]
    assert list(FORMATS)[-1] == "nifti" and not is_there(tmp_path) and not is_there(tmp_path / "none")


def test_the_digest_of_two_files_is_of_both(tmp_path):
    path = written(tmp_path, "T1.mhd", voxels(), AFFINES["straight"])
    before = image_sha256(path)
    raw = tmp_path / "T1.raw"
    raw.write_bytes(raw.read_bytes()[:-1] + b"\7")
    assert image_sha256(path) != before
    raw.unlink()
    with pytest.raises(InputError, match="T1.raw, which is not there; keep both files together"):
        image_sha256(path)
