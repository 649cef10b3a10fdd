# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Edits with a displacement on disk: other programs read the fields, and files and figures say the same."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
import torch
from conftest import write_head
from ignite.engine import Engine
from monai.transforms import Compose
from scipy import ndimage
from space.native_heads import SMALL, displacement_of, moved_head, push

from mededit_monai.core.errors import InputError
from mededit_monai.datasets.editing import collate_cases, editing_cases
from mededit_monai.handlers import EditWriter
from mededit_monai.handlers.edit_batch import EditPrepareBatch
from mededit_monai.handlers.effects_files import midline_shift_mm, unmoved_share
from mededit_monai.io.displacement import read_displacement
from mededit_monai.io.nifti import NativeCopy
from mededit_monai.io.outputs import written_files
from mededit_monai.methods.editor import Edit
from mededit_monai.prepare.load import LoadCased
from mededit_monai.space.flow import pull
from mededit_monai.space.native_flow import NativeFlow, native_flow
from mededit_monai.space.to_model import ToModelSpaced

#: Right, front, top and so on, in every order and direction.
ORIENTATIONS = [
    "".join(codes) for axes in itertools.permutations(["RL", "AP", "SI"]) for codes in itertools.product(*axes)
]


def case_of(folder: Path, options=None, spatial_dims=3, carry=(), slice_index="all", **head) -> dict:
    """A case on its way to the model; a volume has 64 x 64 x 30 pixels, finer than the scan's voxels all the same."""
    written = write_head(folder / "head", **{**SMALL, **head})
    files = {"scan": str(written.scan), "pathology": str(written.pathology), "brain": str(written.brain)}
    others = {"datalist": None, "dataset_dir": None, "region": None, "shard": None}
    request = {"method": "morph", "effects": 1.0, **(options or {})}
    (case,) = editing_cases(**files, **others, output_dir=str(folder), options=request, carry=[str(p) for p in carry])
    way = {"spatial_dims": 3, "size": 64, "depth": 30} if spatial_dims == 3 else {"slice_index": slice_index}
    return Compose([LoadCased(), ToModelSpaced(**way, dilation=5)])(case | {"case_id": "a"})


def write(out: Path, case: dict, strengths=(1.0,), peak=6.0, paint=0.0, course=0, **settings) -> Path:
    """
    Write edits of a case that move it by a push of ``peak`` mm and add ``paint`` where the lesion is; the folder.

    Args:
        strengths: one a sample, or one a step of a course.
    """
    space, samples = case["space"], len(strengths)
    writer = EditWriter(out, 3, 1 if course else samples, "residual", course=course, **settings)

    def step(engine, batch):
        image, _, _, keywords = EditPrepareBatch(3, 1 if course else samples, course)(batch)
        brain, lesion = keywords["brain"][:, 0].numpy() > 0, keywords["pathology"] > 0
        velocity = np.stack([push(row, space.pixel_mm, peak) for row in brain])
        rows = [s for s in strengths for _ in range(space.rows)]
        u, back = (
            torch.from_numpy(
                np.concatenate([displacement_of(v[None], space.pixel_mm, sign * s) for v, s in zip(velocity, rows)])
            )
            for sign in (1, -1)
        )
        displaced = pull(image, u / space.pixel_mm)
        extras = {"displacement": u, "inverse": back, "velocity": torch.from_numpy(velocity), "displaced": displaced}
        extras |= {"painted": lesion, "strength": rows, "spread": [0.25] * len(rows)}
        made = Edit(displaced + 2 * paint * lesion, lesion | (u != 0).any(1, keepdim=True), 2, extras)
        return {"image": image, "pred": made.image, "edit": made}

    engine = Engine(step)
    writer.attach(engine)
    engine.run([collate_cases([case])])
    return out / case["case_id"]


def stored(path: Path) -> np.ndarray:
    return np.asarray(nib.load(path).dataobj)


def facts(folder: Path) -> dict:
    return json.loads((folder / "effects.json").read_text())


def itk_warped(scan: Path, field: Path, order: int = 1) -> np.ndarray:
    """A scan pulled through a displacement by ITK, in the order of its voxels on disk."""
    image, vectors = sitk.ReadImage(str(scan), sitk.sitkFloat32), sitk.ReadImage(str(field), sitk.sitkVectorFloat64)
    warp = sitk.WarpImageFilter()
    warp.SetOutputParameteresFromImage(image)
    warp.SetInterpolator({1: sitk.sitkLinear, 3: sitk.sitkBSpline, 5: sitk.sitkBSpline5}[order])
    return sitk.GetArrayFromImage(warp.Execute(image, vectors)).T


# --- other programs -------------------------------------------------------------------------------------------------

#: Of the eight directions that an order of axes has two that share none; the others are tried where there is time.
HEADS = [
    pytest.param({"axcodes": codes}, marks=() if k % 8 in (k // 8, 7 - k // 8) else pytest.mark.slow)
    for k, codes in enumerate(ORIENTATIONS)
]
HEADS += [{"axcodes": "LIA", "rotation": 15.0}, {"axcodes": "PSR", "rotation": -20.0}]
HEADS += [{"axcodes": "LPS", "spacing": (1.0, 1.0, 5.0), "shape": (150, 180, 26), "rotation": 8.0}]


@pytest.mark.one_in(4)
@pytest.mark.parametrize("head", HEADS, ids=lambda head: " ".join(map(str, head.values())))
def test_itk_displaces_the_scan_as_we_do(tmp_path, head):
    """However the voxels are stored: linear interpolation on both sides is the same image."""
    from mededit_monai.handlers.effects_files import _write_field

    moved = moved_head(tmp_path, **head)
    flow = native_flow(moved.space, moved.displacement(), moved.brain.shape)
    _write_field(tmp_path / "u.nii.gz", flow, moved.scan)
    mine = moved.scan.data.copy()
    mine[flow.box][flow.moved] = flow.pulled(mine, 1)
    its = itk_warped(moved.head.scan, tmp_path / "u.nii.gz")
    before = moved.scan.data
    assert np.abs(mine - before).max() > 100
    assert np.abs(its - NativeCopy.to_native(mine, moved.scan)).max() < 0.5


@pytest.mark.parametrize("spatial_dims", [2, 3])
def test_itk_displaces_what_was_written(tmp_path, spatial_dims):
    """The edited scan itself, without paint: ITK's spline of the same degree, but for what was clipped beside edges."""
    case = case_of(tmp_path, spatial_dims=spatial_dims, axcodes="PIL", rotation=10.0, dtype=np.float32)
    folder = write(tmp_path / "out", case)
    scan = case["scan"].path
    its = itk_warped(scan, folder / "displacement.nii.gz", 5)
    found, before = stored(folder / "edited.nii.gz"), stored(scan)
    region = stored(folder / "edit_region.nii.gz") > 0
    moved = np.abs(read_displacement(folder / "displacement.nii.gz")[0]).max(axis=0) > 0
    assert np.array_equal(found[~region], before[~region]) and (found != before).any()
    if spatial_dims == 3:  # between edited slices ITK's spline of a volume is another one
        apart = np.abs(found - its)[region & moved]
        assert np.median(apart) < 0.5 and np.percentile(apart, 90) < 20
    linear = itk_warped(scan, folder / "displacement.nii.gz")
    assert np.corrcoef(found[region], linear[region])[0, 1] > 0.95 > np.corrcoef(before[region], linear[region])[0, 1]


def test_the_fields_lie_on_the_scan_s_grid(tmp_path):
    case = case_of(tmp_path, axcodes="PIL", rotation=10.0)
    folder = write(tmp_path / "out", case)
    for name in ("displacement", "inverse_displacement"):
        image = nib.load(folder / f"{name}.nii.gz")
        assert image.shape == (*nib.load(case["scan"].path).shape, 1, 3) and image.get_data_dtype() == np.float32
        assert np.allclose(image.affine, nib.load(case["scan"].path).affine, atol=1e-4)
        assert b"synthetic" in image.header["descrip"].item()


@pytest.mark.parametrize("spatial_dims", [2, 3])
def test_the_two_files_undo_each_other(tmp_path, spatial_dims):
    """Composed as they are read, linearly: tissue is back within 0.1 voxel."""
    case = case_of(tmp_path, spatial_dims=spatial_dims, axcodes="LAS", rotation=10.0)
    folder = write(tmp_path / "out", case)
    (u, affine), (x, _) = (read_displacement(folder / f"{n}.nii.gz") for n in ("displacement", "inverse_displacement"))
    voxels = np.stack(np.meshgrid(*map(np.arange, u.shape[1:]), indexing="ij")).astype(float)
    to_voxel = np.linalg.inv(affine[:3, :3])
    back = voxels + np.tensordot(to_voxel, x, axes=1)
    there = np.stack([ndimage.map_coordinates(part, back, order=1) for part in u])
    left = np.tensordot(to_voxel, x + there, axes=1)
    assert np.abs(np.tensordot(to_voxel, u, axes=1)).max() > 1 and np.abs(left).max() <= 0.1
    assert not x[:, (u == 0).all(axis=0)].any()


# --- the scan -------------------------------------------------------------------------------------------------------


@pytest.mark.one_in(4)
@pytest.mark.parametrize("kind", [{"dtype": np.int16}, {"dtype": np.uint8, "slope": 3.6, "axcodes": "PSR"}], ids=str)
@pytest.mark.parametrize("spatial_dims", [2, 3])
def test_bytes_stay_where_nothing_moves(tmp_path, kind, spatial_dims):
    case = case_of(tmp_path, spatial_dims=spatial_dims, **kind)
    folder = write(tmp_path / "out", case, paint=-0.2)
    new, old = nib.load(folder / "edited.nii.gz"), nib.load(case["scan"].path)
    changed = np.asarray(new.dataobj.get_unscaled()) != np.asarray(old.dataobj.get_unscaled())
    region = stored(folder / "edit_region.nii.gz") > 0
    brain = NativeCopy.to_native(case["brain_volume"], case["scan"])
    assert changed.any() and not changed[~region].any() and not region[~brain].any()
    moved = (read_displacement(folder / "displacement.nii.gz")[0] != 0).any(axis=0)
    assert region[moved & brain].all()
    assert new.get_data_dtype() == old.get_data_dtype() and new.dataobj.slope == old.dataobj.slope
    provenance = json.loads((folder / "provenance.json").read_text())
    assert provenance["voxels_changed"] == changed.sum() and provenance["strength"] == 1.0


def test_paint_is_added_to_the_displaced_scan(tmp_path):
    """A constant change inside the lesion; around it the scan is displaced and nothing else."""
    case = case_of(tmp_path, dtype=np.float32)
    plain, painted = (write(tmp_path / name, case, paint=p) for name, p in (("plain", 0.0), ("painted", -0.0625)))
    before, after = (stored(folder / "edited.nii.gz") for folder in (plain, painted))
    lesion = NativeCopy.to_native(
        case["space"].to_native(case["pathology"][:, 0].numpy(), case["brain_volume"].shape), case["scan"]
    )
    brain = NativeCopy.to_native(case["brain_volume"], case["scan"])
    inside, outside = (lesion > 0.999) & brain & (before > 100), lesion == 0
    assert inside.sum() > 20
    assert (after - before)[inside] == pytest.approx(-0.0625 * case["ceilings"][0], abs=0.01)
    assert np.array_equal(after[outside], before[outside])
    displaced = before != stored(case["scan"].path)
    assert displaced[inside].mean() > 0.95 and displaced[outside].any()  # under the paint too


def test_an_edit_without_displacement_writes_none(tmp_path):
    case = case_of(tmp_path)
    out = tmp_path / "out"
    writer = EditWriter(out, 3, 1, "residual")

    def step(engine, batch):
        image, _, _, keywords = EditPrepareBatch(3, 1)(batch)
        made = Edit(image, keywords["region"] > 0, 1)
        return {"image": image, "pred": made.image, "edit": made}

    engine = Engine(step)
    writer.attach(engine)
    engine.run([collate_cases([case])])
    names = {path.name for path in (out / "a").iterdir()}
    assert names == {
        *(
            "edited.nii.gz",
            "edited_model.nii.gz",
            "edit_region.nii.gz",
            "preview.png",
            "provenance.json",
            ".mededit.json",
        )
    }


# --- what goes along ------------------------------------------------------------------------------------------------


def test_a_carried_copy_of_the_scan_is_the_edit(tmp_path):
    """The scan's labels and the scan move by the same field; each file is written and listed."""
    head = write_head(tmp_path / "labels", **SMALL, axcodes="LIA")
    case = case_of(tmp_path, {"lesion_label": 9}, carry=[head.brain, head.scan], axcodes="LIA")
    folder = write(tmp_path / "out", case)
    names = {"displacement.nii.gz", "inverse_displacement.nii.gz", "effects.json"}
    names |= {"carried/brain.nii.gz", "carried/scan.nii.gz"}
    assert names <= set(written_files(folder)) and all(written_files(folder).values())
    its = itk_warped(head.scan, folder / "displacement.nii.gz")
    assert np.abs(stored(folder / "carried" / "scan.nii.gz") - its).max() <= 1
    labels = stored(folder / "carried" / "brain.nii.gz")
    lesion = stored(head.pathology) > 0
    assert set(np.unique(labels)) == {0, 1, 9} and np.array_equal(labels == 9, lesion)


def test_a_lesion_of_a_slice_is_stamped_in_that_slice(tmp_path):
    head = write_head(tmp_path / "labels", **SMALL)
    case = case_of(tmp_path, {"lesion_label": 9}, spatial_dims=2, slice_index="auto", carry=[head.brain])
    labels = stored(write(tmp_path / "out", case) / "carried" / "brain.nii.gz")
    (z,) = case["slices"]
    assert np.flatnonzero((labels == 9).any(axis=(0, 1))).tolist() == [z]


def test_files_are_left_alone_without_effects(tmp_path):
    """--effects 0: what would go along is not even read."""
    case = case_of(tmp_path, {"effects": 0.0}, carry=[tmp_path / "is not there.nii.gz"])
    assert "carried" not in case


# --- figures --------------------------------------------------------------------------------------------------------


def test_figures_are_those_of_the_files(tmp_path):
    head = write_head(tmp_path / "labels", **SMALL)
    case = case_of(tmp_path, carry=[head.brain])
    folder = write(tmp_path / "out", case, (0.8,))
    found, (u, affine) = facts(folder), read_displacement(folder / "displacement.nii.gz")
    assert found["strength"] == 0.8 and found["spread_of_log_strength"] == 0.25 and found["synthetic"] is True
    assert found["largest_displacement_mm"] == pytest.approx(np.sqrt((u**2).sum(axis=0)).max(), abs=1e-3)
    brain = case["brain_volume"]
    assert found["unmoved_share_of_brain"] == pytest.approx(1 - (u != 0).any(axis=0)[brain].mean(), abs=1e-4)
    steps = np.tensordot(np.linalg.inv(affine[:3, :3]), u, axes=1)
    slopes = np.array([np.gradient(part) for part in steps])
    least = np.linalg.det(np.eye(3) + np.moveaxis(slopes, (0, 1), (-2, -1))).min()
    assert 0 < found["smallest_jacobian"] < 1 and found["smallest_jacobian"] == pytest.approx(least, abs=0.01)
    middle = (brain.shape[0] - 1) / 2  # 19.5: the voxels beside it are both within 2 mm
    across = np.abs(u[0])[int(middle) : int(middle) + 2] * brain[int(middle) : int(middle) + 2]
    assert found["midline_shift_mm"] == pytest.approx(across.max(), abs=1e-3) and across.max() > 1
    (size,) = found["carried"]["brain.nii.gz"]["labels"].values()
    lesion = stored(head.pathology) > 0
    assert size["before_ml"] == pytest.approx(brain.sum() * 0.08)
    assert size["before_outside_lesion_ml"] == pytest.approx((brain & ~lesion).sum() * 0.08)
    assert found["carried"]["brain.nii.gz"]["interpolation"] == "nearest"


def test_a_pushed_structure_grows_by_the_jacobian(tmp_path):
    """A label's new volume is that of its image under the inverse: the mean determinant of that over its voxels."""
    labels = tmp_path / "ball.nii.gz"
    head = write_head(tmp_path / "labels", spacing=(2.0, 2.0, 2.5), shape=(80, 100, 52))
    image = nib.load(head.scan)
    x, y, z = np.moveaxis(nib.affines.apply_affine(image.affine, np.moveaxis(np.indices(image.shape), 0, -1)), -1, 0)
    ball = (x - 19) ** 2 + (y + 1) ** 2 + (z - 33) ** 2 < 10**2  # where the push comes from
    nib.save(nib.Nifti1Image(ball.astype(np.uint8), image.affine), labels)
    case = case_of(tmp_path, carry=[labels], spacing=(2.0, 2.0, 2.5), shape=(80, 100, 52))
    case["lesion_volume"] = np.zeros_like(case["lesion_volume"])
    (size,) = facts(write(tmp_path / "out", case, (-1.0,)))["carried"]["ball.nii.gz"]["labels"].values()
    inverse, _ = read_displacement(tmp_path / "out" / "a" / "inverse_displacement.nii.gz")
    steps = inverse / np.array([2.0, 2.0, 2.5])[:, None, None, None]
    slopes = np.array([np.gradient(part) for part in steps])
    growth = np.linalg.det(np.eye(3) + np.moveaxis(slopes, (0, 1), (-2, -1)))[ball].mean()
    assert growth > 1.5
    assert size["after_outside_lesion_ml"] / size["before_ml"] == pytest.approx(growth, rel=0.05)


def test_midline_and_share_by_hand():
    """A brain of 9 voxels of 2 mm: its middle plane is voxel 6, of a box that begins at voxel 5 the second."""
    brain = np.zeros((14, 6, 4), bool)
    brain[2:11, 1:5, 1:3] = True
    steps = np.zeros((3, 3, 2, 2), np.float32)
    steps[0, 0], steps[0, 1, 0, 0], steps[1, 1, 1, 1] = 5, -1.5, 9
    flow = NativeFlow(steps, (5, 1, 0), brain.shape, np.diag([2.0, 3.0, 4.0, 1.0]))
    # of the moved voxels those of the first plane (z = 0) lie outside the brain
    assert unmoved_share(flow, brain, np.arange(4)) == 1 - 3 / 72
    assert midline_shift_mm(flow, brain) == 0  # the one that crosses lies at z = 0
    steps[0, 1, 0, 1] = -1.25
    assert midline_shift_mm(NativeFlow(steps, (5, 1, 0), brain.shape, flow.affine), brain) == 2.5


def test_a_fold_is_refused_with_the_largest_strength(tmp_path):
    """Twenty times a push of 9 mm: on the grid it folds. What the sentence says holds, and a 64th more does not."""
    case, said = case_of(tmp_path), r"a: the displacement of strength 20 folds tissue .* give a smaller --effects"
    with pytest.raises(InputError, match=said) as refused:
        write(tmp_path / "out", case, (20.0,), peak=9.0)
    assert not (tmp_path / "out" / "a").exists()
    largest = float(str(refused.value).split("that does not is ")[1].split(",")[0])
    assert 8 < largest < 20
    assert facts(write(tmp_path / "out", case, (largest - 0.05,), peak=9.0))["smallest_jacobian"] > 0
    with pytest.raises(InputError, match="folds tissue"):
        write(tmp_path / "other", case, (largest + 20 / 64 + 0.05,), peak=9.0)


# --- samples and courses --------------------------------------------------------------------------------------------


def test_every_sample_has_its_own_displacement(tmp_path):
    folder = write(tmp_path / "out", case_of(tmp_path), (0.5, 1.0))
    strengths = [facts(folder / f"sample_{k}")["strength"] for k in range(2)]
    lengths = [facts(folder / f"sample_{k}")["largest_displacement_mm"] for k in range(2)]
    assert strengths == [0.5, 1.0] and lengths[0] == pytest.approx(lengths[1] / 2, rel=0.1)
    assert (folder / "mean.nii.gz").is_file() and not (folder / "displacement.nii.gz").exists()


def test_a_course_is_written_step_by_step(tmp_path):
    """From no displacement to all of it, one noise; no mean of what differs on purpose."""
    case = case_of(tmp_path, {"course": 3})
    folder = write(tmp_path / "out", case, (0.0, 0.5, 1.0), course=3)
    lengths = [facts(folder / f"course_{k}")["largest_displacement_mm"] for k in range(3)]
    assert lengths[0] == 0 < lengths[1] < lengths[2]
    assert np.array_equal(stored(folder / "course_0" / "edited.nii.gz"), stored(case["scan"].path))
    records = [json.loads((folder / f"course_{k}" / "provenance.json").read_text()) for k in range(3)]
    assert [one["course"] for one in records] == [0, 1, 2] and len({one["case_seed"] for one in records}) == 1
    names = {path.name for path in folder.iterdir()}
    assert names == {"course_0", "course_1", "course_2", "preview.png", "provenance.json", ".mededit.json"}
