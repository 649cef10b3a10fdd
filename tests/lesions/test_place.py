# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Lesions on the grid of a ball that stands for a brain, whose world is taken for MNI space, moved or not."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
from lesions.ball import CENTRE, RADIUS, affine, box_mask, in_fluid, write, write_ball
from scipy.spatial.transform import Rotation

from mededit_monai.core.errors import InputError
from mededit_monai.diseases import DISEASES
from mededit_monai.io.nifti import NativeCopy, Volume, read_volume
from mededit_monai.lesions import tissue
from mededit_monai.lesions.masks import random_mask
from mededit_monai.lesions.mni import MniSpace
from mededit_monai.lesions.place import Placed, placed
from mededit_monai.lesions.wanted import from_words
from mededit_monai.prepare.brain import brain_from_background

STROKE = DISEASES["stroke"]


@pytest.fixture(autouse=True)
def small_grid(monkeypatch):
    """The part of MNI space that the ball fills."""
    ends = np.stack([CENTRE - RADIUS - 2, CENTRE + RADIUS + 2], axis=1)
    monkeypatch.setattr(tissue, "MNI_GRID", ends)


def made(path, words: str, seed: int = 0, to_scan: np.ndarray | None = None, **more) -> tuple[Placed, Volume]:
    scan = read_volume(path)
    space = MniSpace(np.eye(4) if to_scan is None else to_scan, "told")
    return placed(from_words(words), scan, brain_from_background(scan), STROKE, seed, mni=space, **more), scan


def world(found: Placed, scan: Volume) -> np.ndarray:
    return np.argwhere(found.mask) @ scan.affine[:3, :3].T + scan.affine[:3, 3]


@pytest.mark.one_in(3)
@pytest.mark.parametrize("axcodes", ["LPS", "LAS", "RAS"])
def test_left_is_the_patients_left_however_it_is_stored(tmp_path, axcodes):
    """In the file itself, read by nibabel alone."""
    path = write_ball(tmp_path, axcodes)
    for words, sign in (("MCA left medium", -1), ("MCA right medium", 1)):
        found, scan = made(path, words)
        image = nib.load(path)
        native = NativeCopy.to_native(found.mask, scan)
        x = (np.argwhere(native) @ image.affine[:3, :3].T + image.affine[:3, 3])[:, 0]
        assert (x * sign > -3).all() and (x * sign > 0).mean() > 0.95
        assert found.facts["side"] == words.split()[1] == found.facts["drawn"]["side"]


@pytest.mark.one_in(3)
@pytest.mark.parametrize("stratum", ["small", "medium", "large"])
def test_a_drawn_lesion_is_what_was_asked_for(tmp_path, stratum):
    found, scan = made(write_ball(tmp_path), f"MCA right {stratum}", seed=3)
    facts = found.facts
    assert facts["stratum"] == stratum and facts["territory"] == "MCA" and facts["territory_shares"]["MCA"] > 0.6
    assert facts["volume_ml"] == pytest.approx(found.mask.sum() * 0.027) and facts["voxels"] == found.mask.sum()
    assert facts["centre_mni_mm"] == pytest.approx(world(found, scan).mean(axis=0), abs=0.01)
    assert not found.mask[brain_from_background(scan) == 0].any() and not (found.mask & in_fluid()).any()
    again, _ = made(tmp_path / "ball.nii.gz", f"{stratum} right MCA", seed=3)
    assert np.array_equal(found.mask, again.mask)


def test_a_head_that_moved_has_its_lesion_in_the_same_tissue(tmp_path):
    moved = np.eye(4)
    moved[:3, :3] = Rotation.from_euler("xz", [20, -12], degrees=True).as_matrix()
    moved[:3, 3] = (15, -30, 40)
    (there, _), (here, _) = (
        made(write_ball(tmp_path / str(k), "RAS", to), "MCA left large", to_scan=to)
        for k, to in enumerate((None, moved))
    )
    both = (there.mask & here.mask).sum()
    assert 2 * both / (there.mask.sum() + here.mask.sum()) > 0.97


def test_a_sphere_in_mni_space_and_in_the_scans(tmp_path):
    moved = np.eye(4)
    moved[:3, 3] = (10, 0, 0)
    path = write_ball(tmp_path, "RAS", moved)
    native, scan = made(path, "sphere 35 -20 20 9", to_scan=moved, keep_ventricles=True)
    assert world(native, scan).mean(axis=0) == pytest.approx([35, -20, 20], abs=0.5)
    mni, _ = made(path, "sphere 25 -20 20 9 mni", to_scan=moved, keep_ventricles=True)
    assert np.array_equal(native.mask, mni.mask)
    assert native.facts["centre_mni_mm"] is None
    assert mni.facts["centre_mni_mm"] == pytest.approx([25, -20, 20], abs=0.5)
    assert native.facts["volume_ml"] == pytest.approx(4 / 3 * np.pi * 0.729, rel=0.1)


def test_ventricles_are_cut_out_unless_they_are_to_stay(tmp_path):
    path, words = write_ball(tmp_path), "sphere 0 -20 35 18"
    found, _ = made(path, words)
    kept, _ = made(path, words, keep_ventricles=True)
    assert (kept.mask & in_fluid()).sum() == in_fluid().sum()
    assert (found.mask & in_fluid()).sum() < 0.1 * in_fluid().sum()
    assert found.facts["cut_in_ventricles"] > 0.2 and any("in ventricles and was cut off" in w for w in found.warnings)
    assert kept.warnings == [] and "cut_in_ventricles" not in kept.facts
    with pytest.raises(InputError, match="in a ventricle alone.*keep_ventricles"):
        made(path, "sphere 0 -20 35 3")


@pytest.mark.parametrize(
    "words, said",
    [
        ("sphere 53 -20 20 9", "the lesion would lie mostly outside the brain"),
        ("sphere 400 -20 20 9", "would lie outside the scan"),
        ("sphere 0 -20 20 50", "would cover 8.% of the brain, far too much"),
        ("irregular 400 -20 20 9", "the centre .* lies outside the brain"),
    ],
)
def test_places_that_cannot_be(tmp_path, words, said):
    with pytest.raises(InputError, match=said) as refused:
        made(write_ball(tmp_path), words, keep_ventricles=True)
    assert "--" not in str(refused.value)  # the same lesion is asked for in words, and by options


def test_what_is_cut_at_the_brains_edge_is_said(tmp_path):
    found, scan = made(write_ball(tmp_path), "sphere 48 -20 20 9", keep_ventricles=True)
    assert 0.1 < found.facts["cut_outside_brain"] < 0.5 and "outside the brain and was cut off" in found.warnings[0]
    assert (np.linalg.norm(world(found, scan) - CENTRE, axis=1) <= RADIUS).all()


def test_a_mask_on_the_scans_grid_is_taken_as_it_is(tmp_path):
    path = write_ball(tmp_path, "LPS")
    mask = np.zeros((38, 38, 38), np.uint8)
    mask[25:29, 10:20, 15] = 1
    write(tmp_path / "mask.nii.gz", mask, affine(), "LPS")
    found, _ = made(path, f"mask {tmp_path / 'mask.nii.gz'}")
    assert np.array_equal(found.mask, mask > 0) and found.facts["file"].endswith("mask.nii.gz")


def test_a_mask_on_another_grid_wants_to_know_its_space(tmp_path):
    moved = np.eye(4)
    moved[:3, 3] = (0, 6, 0)
    path, mask = write_ball(tmp_path, "LAS", moved), box_mask(tmp_path / "box.nii.gz", (-30, -20, 20), 12)
    with pytest.raises(InputError, match="box.nii.gz: lies on another grid.*native .* or mni"):
        made(path, f"mask {mask}", to_scan=moved, keep_ventricles=True)
    for space, y in (("native", -20), ("mni", -14)):
        found, scan = made(path, f"mask {mask} {space}", to_scan=moved, keep_ventricles=True)
        assert world(found, scan).mean(axis=0) == pytest.approx([-30, y, 20], abs=0.8)
        assert found.facts["volume_ml"] == pytest.approx(1.728, rel=0.15) and found.facts["side"] == "left"
    assert found.facts["mask_in_mni"] == {"ml": pytest.approx(1.728), "side": "left", "territory": "MCA"}
    with pytest.raises(InputError, match="is not in MNI space"):
        made(path, f"mask {box_mask(tmp_path / 'far.nii', (300, 0, 0), 4)} mni", to_scan=moved)


def test_one_of_a_folder_at_random(tmp_path):
    folder = tmp_path / "masks"
    box_mask(folder / "a.nii.gz", (-35, -20, 20), 6)
    box_mask(folder / "b.nii.gz", (35, -20, 20), 6)
    box_mask(folder / "c.nii.gz", (35, -20, 20), 12)

    def taken(words: str, seed: int) -> str:
        return random_mask(from_words(f"random {folder} {words}"), STROKE, seed)[0].path.name[0]

    every = [taken("", seed) for seed in range(12)]
    assert set(every) == set("abc") and every == [taken("", seed) for seed in range(12)]
    for words, only in (("left", "a"), ("right small", "b"), ("1-5ml MCA", "c"), ("medium", "c")):
        assert {taken(words, seed) for seed in range(4)} == {only}
    with pytest.raises(InputError, match=r"none of its 3 masks is as wanted \(side left, territory PCA\)"):
        taken("left PCA", 0)
    found, scan = made(write_ball(tmp_path), f"random {folder} left", keep_ventricles=True)
    assert world(found, scan).mean(axis=0) == pytest.approx([-35, -20, 20], abs=1)
    assert found.facts["file"].endswith("a.nii.gz") and found.facts["mask_in_mni"]["ml"] == pytest.approx(0.216)
    with pytest.raises(InputError, match="no such folder"):
        random_mask(from_words(f"random {folder / 'none'}"), STROKE, 0)


def test_labels_of_a_tumour_lie_in_layers_of_any_shape(tmp_path):
    found, scan = made(write_ball(tmp_path), "sphere 0 -20 0 24", keep_ventricles=True)
    labels, count = found.labels[found.mask], found.mask.sum()
    assert (found.labels[~found.mask] == 0).all()
    assert (labels == 1).sum() == pytest.approx(0.45**3 * count, abs=1.5)
    assert np.isin(labels, [1, 3]).sum() == pytest.approx(0.65**3 * count, abs=1.5)
    distance = np.linalg.norm(world(found, scan) - [0, -20, 0], axis=1)
    means = [distance[labels == label].mean() for label in (1, 3, 2)]
    assert means == sorted(means)


def test_a_few_voxels_are_said(tmp_path):
    found, _ = made(write_ball(tmp_path), "sphere 30 -20 20 2", keep_ventricles=True)
    assert f"the lesion has {found.mask.sum()} voxel" in found.warnings[0]


def label_file(path, low=(25, 10, 15), high=(29, 20, 18), step: int = 1):
    """A block on the ball's grid, or on one ``step`` times as fine: half edema, half enhancing rim, no core."""
    labels = np.zeros((38, 38, 38), np.uint8)
    labels[tuple(slice(a, b) for a, b in zip(low, high))] = 2
    labels[low[0] : (low[0] + high[0]) // 2][labels[low[0] : (low[0] + high[0]) // 2] == 2] = 3
    to_world = affine()
    fine = to_world @ np.diag([1 / step, 1 / step, 1 / step, 1.0])
    fine[:3, 3] -= (to_world - fine)[:3, :3] @ np.full(3, 0.5)
    return write(path, labels.repeat(step, 0).repeat(step, 1).repeat(step, 2), fine, "LPS"), labels


@pytest.mark.parametrize("step, space", [(1, ""), (1, "mni"), (2, "native")])
def test_the_labels_of_a_file_are_taken_along(tmp_path, step, space):
    mask, labels = label_file(tmp_path / "labels.nii.gz", step=step)
    found, _ = made(write_ball(tmp_path), f"mask {mask} {space}", keep_ventricles=True, regions=True)
    assert np.array_equal(found.labels, labels) and not found.warnings


def test_labels_of_a_folders_masks_are_taken_along_and_coarsely(tmp_path):
    """Of a block of 1 mm labels each voxel of 3 mm has the label that most of it has."""
    data, to_world = np.zeros((18, 18, 18), np.uint8), np.diag([1.0, 1.0, 1.0, 1.0])
    to_world[:3, 3] = (24.5, -31.5, 11.5)  # the block fills 4 x 4 x 4 voxels of the scan
    data[3:-3, 3:-3, 3:-3] = 1
    data[3:-3, 3:-3, 9:-3] = 3
    write(tmp_path / "masks" / "a.nii.gz", data, to_world)
    found, scan = made(write_ball(tmp_path), f"random {tmp_path / 'masks'}", keep_ventricles=True, regions=True)
    for label, heights in ((1, (15.5, 18.5)), (3, (21.5, 24.5))):
        points = np.argwhere(found.labels == label) @ scan.affine[:3, :3].T + scan.affine[:3, 3]
        assert set(points[:, 2]) == set(heights) and len(points) == 32
    assert np.array_equal(found.labels > 0, found.mask)


def test_a_layout_that_is_made_up_is_said(tmp_path):
    path, mask = write_ball(tmp_path), box_mask(tmp_path / "box.nii.gz", (-30, -20, 20), 20)
    found, _ = made(path, f"mask {mask} native", keep_ventricles=True, regions=True)
    assert "box.nii.gz: is a mask without labels, so the layout of the tumour's regions" in found.warnings[0]
    assert {1, 2, 3} <= set(np.unique(found.labels).tolist())
    assert not made(path, f"mask {mask} native", keep_ventricles=True)[0].warnings


def test_labels_that_mean_something_else_are_refused(tmp_path):
    path, (mask, _) = write_ball(tmp_path), label_file(tmp_path / "BraTS-PED-00001-000-seg.nii.gz")
    with pytest.raises(InputError, match="paediatric"):
        made(path, f"mask {mask}", regions=True)
    assert made(path, f"mask {mask}", keep_ventricles=True)[0].mask.any()


def test_a_mask_in_mni_space_on_the_scans_own_grid(tmp_path):
    """The same numbers in the header do not make it the scan's space, if somebody says that it is MNI's."""
    moved = np.eye(4)
    moved[:3, 3] = (0, -12, 0)
    mask = np.zeros((38, 38, 38), np.uint8)
    mask[25:29, 15:20, 15:18] = 1
    path, file = write_ball(tmp_path), write(tmp_path / "mask.nii.gz", mask, affine())
    for space, steps in (("", 0), ("native", 0), ("mni", 4)):
        found, _ = made(path, f"mask {file} {space}", to_scan=moved, keep_ventricles=True)
        assert np.array_equal(found.mask, np.roll(mask > 0, -steps, axis=1))


def test_a_random_mask_is_never_larger_than_a_hemispheres(tmp_path):
    box_mask(tmp_path / "masks" / "big.nii.gz", (0, -20, 20), 34, 2.0)  # 314 ml
    for words in ("", "100-500ml"):
        with pytest.raises(InputError, match="none of its 1 masks is as wanted .*at most 250 ml"):
            random_mask(from_words(f"random {tmp_path / 'masks'} {words}"), STROKE, 0)


def test_the_volume_on_a_sheared_grid(tmp_path):
    """Planes shifted against each other, as a tilted gantry does: a voxel keeps its 27 mm³."""
    distance = np.linalg.norm(np.indices((38, 38, 38)) - 18.5, axis=0)
    sheared, mask = affine(), (distance < 5).astype(np.uint8)
    sheared[1, 2] = 1.5
    for name, data in (("scan", np.where(distance < 17, 700, 0).astype(np.int16)), ("mask", mask)):
        nib.save(nib.Nifti1Image(data, sheared), tmp_path / f"{name}.nii.gz")
    found, _ = made(tmp_path / "scan.nii.gz", f"mask {tmp_path / 'mask.nii.gz'}", keep_ventricles=True)
    assert found.facts["volume_ml"] == pytest.approx(mask.sum() * 0.027, abs=1e-4)
