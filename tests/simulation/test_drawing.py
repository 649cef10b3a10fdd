# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import gzip

import nibabel as nib
import numpy as np
import pytest
from conftest import write_head

from mededit_monai.core.errors import InputError
from mededit_monai.simulation.drawing import draw_lesion


def drawn(path) -> tuple[np.ndarray, np.ndarray, float]:
    """Mask, centre of mass in world mm, and the radius of a ball of its volume."""
    image = nib.load(path)
    mask = np.asarray(image.dataobj) > 0
    centre = image.affine @ [*np.argwhere(mask).mean(0), 1]
    volume = mask.sum() * abs(np.linalg.det(image.affine[:3, :3]))
    return mask, centre[:3], (3 * volume / (4 * np.pi)) ** (1 / 3)


@pytest.mark.one_in(3)
@pytest.mark.parametrize("axcodes, rotation", [("RAS", 0), ("LIA", 0), ("PSR", 12)])
def test_centre_is_in_world_coordinates(tmp_path, axcodes, rotation):
    head = write_head(tmp_path, axcodes, rotation=rotation)
    brain = nib.load(head.brain)
    middle = (brain.affine @ [*np.argwhere(np.asarray(brain.dataobj)).mean(0), 1])[:3]
    wanted = middle + [-20, 10, 4]
    count = draw_lesion(head.scan, tmp_path / "lesion.nii.gz", tuple(wanted), radius=12)
    mask, centre, radius = drawn(tmp_path / "lesion.nii.gz")
    assert mask.sum() == count and not mask[np.asarray(brain.dataobj) == 0].any()
    assert np.abs(centre - wanted).max() < 4 and radius == pytest.approx(12, rel=0.2)


@pytest.mark.parametrize("axcodes", ["RAS", "LPI"])
def test_without_a_centre_it_lies_on_the_right_and_above(tmp_path, axcodes):
    head = write_head(tmp_path, axcodes)
    draw_lesion(head.scan, tmp_path / "lesion.nii", radius=8)
    _, centre, _ = drawn(tmp_path / "lesion.nii")
    # the middle of the brain is at (-1, -1, 8) mm in this head
    assert np.abs(centre - [29, -1, 23]).max() < 3


def test_outline_depends_on_the_seed_alone(head, tmp_path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        draw_lesion(head.scan, tmp_path / f"{name}.nii.gz", seed=seed)
    a, b, c = ((tmp_path / f"{name}.nii.gz").read_bytes() for name in "abc")
    assert a == b != c


def test_outline_is_no_ball(head, tmp_path):
    """Some pixels nearer than the radius are out and some farther ones are in."""
    draw_lesion(head.scan, tmp_path / "lesion.nii.gz", (-1, -1, 8), radius=20)
    mask, _, _ = drawn(tmp_path / "lesion.nii.gz")
    points = np.argwhere(np.ones(mask.shape)) @ head.image.affine[:3, :3].T + head.image.affine[:3, 3]
    distance = np.linalg.norm(points - [-1, -1, 8], axis=1).reshape(mask.shape)
    assert (~mask & (distance < 19)).any() and (mask & (distance > 21)).any()
    assert not mask[distance > 2.2 * 20].any()


def test_a_lesion_at_the_edge_is_cut_to_the_brain(head, tmp_path):
    draw_lesion(head.scan, tmp_path / "lesion.nii.gz", (58, -1, 8), radius=20)  # the brain ends at x = 65
    mask, centre, radius = drawn(tmp_path / "lesion.nii.gz")
    brain = np.asarray(nib.load(head.brain).dataobj) > 0
    assert not mask[~brain].any() and 10 < radius < 19 and centre[0] < 56


def test_mask_is_on_the_scans_grid_and_marked(head, tmp_path):
    draw_lesion(head.scan, tmp_path / "deep" / "lesion.nii.gz")
    image = nib.load(tmp_path / "deep" / "lesion.nii.gz")
    assert np.array_equal(image.affine, head.image.affine) and image.shape == head.image.shape
    assert image.get_data_dtype() == np.uint8 and set(np.unique(image.dataobj)) == {0, 1}
    content = gzip.decompress((tmp_path / "deep" / "lesion.nii.gz").read_bytes())
    assert b"synthetic" in content[148:228]  # the header's description


def test_brain_mask_stands_in_for_skull_stripping(head, tmp_path):
    noise = np.abs(np.random.default_rng(0).standard_normal(head.image.shape)) + 1
    nib.save(nib.Nifti1Image((head.image.get_fdata() + noise).astype(np.float32), head.image.affine), head.scan)
    assert draw_lesion(head.scan, tmp_path / "lesion.nii.gz", brain=head.brain) > 0


@pytest.mark.parametrize(
    "options, words",
    [
        ({"radius": 0}, "--radius: got 0, wanted a positive number"),
        ({"radius": -3.5}, "--radius: got -3.5, wanted a positive number"),
        ({"centre": (300, 0, 0)}, r"scan.nii.gz: the centre \(300, 0, 0\) lies outside the brain; choose a point"),
    ],
)
def test_refuses_what_cannot_be_drawn(head, tmp_path, options, words):
    with pytest.raises(InputError, match=words):
        draw_lesion(head.scan, tmp_path / "out" / "lesion.nii.gz", **options)
    assert not (tmp_path / "out").exists()


def test_refuses_a_brain_mask_of_another_grid(head, tmp_path):
    nib.save(nib.Nifti1Image(np.ones((9, 9, 9), np.uint8), np.eye(4)), tmp_path / "brain.nii")
    with pytest.raises(InputError, match="brain.nii: lies on another grid"):
        draw_lesion(head.scan, tmp_path / "lesion.nii.gz", brain=tmp_path / "brain.nii")


def test_regions_of_a_tumour_lie_in_layers(head, tmp_path):
    """The same outline as the lesion's; radii of core and rim as stated."""
    place = (-1, -1, 8)
    draw_lesion(head.scan, tmp_path / "lesion.nii.gz", place, radius=24)
    draw_lesion(head.scan, tmp_path / "tumor.nii.gz", place, radius=24, regions=True)
    mask, labels = (np.asarray(nib.load(tmp_path / f"{name}.nii.gz").dataobj) for name in ("lesion", "tumor"))
    assert np.array_equal(mask > 0, labels > 0) and set(np.unique(labels)) == {0, 1, 2, 3}
    points = np.argwhere(labels >= 0) @ head.image.affine[:3, :3].T + head.image.affine[:3, 3]
    distance = np.linalg.norm(points - place, axis=1).reshape(labels.shape)
    means = [distance[labels == label].mean() for label in (1, 3, 2)]
    assert means == sorted(means)
    for radius, inner in ((0.45 * 24, [1]), (0.65 * 24, [1, 3])):
        volume = np.isin(labels, inner).sum() * abs(np.linalg.det(head.image.affine[:3, :3]))
        assert (3 * volume / (4 * np.pi)) ** (1 / 3) == pytest.approx(radius, rel=0.35)


@pytest.mark.slow
def test_a_lesion_of_few_voxels_says_so(head, tmp_path, capsys):
    """Voxels of the small head are 2 x 2 x 4 mm."""
    for radius, count in ((1.0, 1), (2.2, 7)):
        voxels = draw_lesion(head.scan, tmp_path / f"{radius}.nii.gz", (-2, -2, 10), radius=radius)
        said = capsys.readouterr().err
        assert (
            0 < voxels <= count
            and f"mededit: warning: the lesion has {voxels} voxel" in said
            and "2 x 2 x 4 mm" in said
        )
    draw_lesion(head.scan, tmp_path / "large.nii.gz", (-2, -2, 10), radius=8)
    assert not capsys.readouterr().err
    with pytest.raises(InputError, match="the lesion has 1 voxel only.*Refused, since --strict was given"):
        draw_lesion(head.scan, tmp_path / "s.nii.gz", (-2, -2, 10), radius=1, strict=True)
    with pytest.raises(InputError, match=r"has voxels of 2 x 2 x 4 mm, .* of radius 0.5 mm; .*at least 4"):
        draw_lesion(head.scan, tmp_path / "s.nii.gz", (-1, -1, 8), radius=0.5)
    assert not (tmp_path / "s.nii.gz").exists()


def test_doubts_about_the_scan_are_said(head, tmp_path, capsys):
    image = nib.Nifti1Image(np.asarray(nib.load(head.scan).dataobj), None)
    image.header.set_zooms((2, 2, 4))
    nib.save(image, tmp_path / "bare.nii.gz")
    draw_lesion(tmp_path / "bare.nii.gz", tmp_path / "lesion.nii.gz", radius=8)
    assert "warning: bare.nii.gz: does not say which way its axes point" in capsys.readouterr().err
    with pytest.raises(InputError, match="left and right are a guess.*Refused, since --strict was given"):
        draw_lesion(tmp_path / "bare.nii.gz", tmp_path / "strict.nii.gz", radius=8, strict=True)


def test_command(head, tmp_path, capsys, monkeypatch):
    from mededit_monai.cli import main

    for words, code in (("", 0), ("", 0), ("--seed 3", 2), ("--seed 3 --overwrite", 0), ("--radius 1 --strict", 2)):
        line = f"mededit lesion --scan {head.scan} --centre -2 -2 10 -o {tmp_path / 'o/lesion.nii.gz'} {words}"
        monkeypatch.setattr("sys.argv", line.split())
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        assert ended.value.code == code and said.err.count("\n") == (code > 0), said
