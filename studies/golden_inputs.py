# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""
What the golden record edits and trains on, made from the template that nilearn ships and from NumPy alone.

Nothing here comes from the tree that is recorded: a change of its simulator must not look like one of its editor.
"""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel.orientations import axcodes2ornt, io_orientation, ornt_transform
from scipy import ndimage

#: Distance of the axial slices of the scan to edit: as in many clinical scans, and a quarter of the work.
THICKNESS = 4

#: MNI x, y (mm) and the height of the first of four slices: white matter beside and behind the lateral ventricles.
RIGHT, LEFT, FRONT = (38.0, -24.0, 16.0), (-36.0, -30.0, 20.0), (34.0, 20.0, 12.0)

#: Mean radius in mm, and its share in each of the four slices.
RADIUS, TAPER = 16.0, (0.7, 1.0, 0.95, 0.6)

#: Training and validation cases, and the side of a slice.
TRAINED_ON, VALIDATED_ON, SIDE = 8, 2, 128


def template() -> nib.Nifti1Image:
    """The skull-stripped T1 of ICBM 152, 1 mm, RAS, 0 to about 1000 as a scanner has it, float32."""
    from nilearn import datasets

    image = datasets.load_mni152_template(resolution=1)
    return nib.Nifti1Image(np.asarray(image.dataobj, dtype=np.float32) * 1000, image.affine)


def every_nth(image: nib.Nifti1Image, steps: tuple[int, int, int]) -> nib.Nifti1Image:
    """An image of every n-th voxel along each axis."""
    array = np.asarray(image.dataobj)[tuple(slice(None, None, n) for n in steps)]
    return nib.Nifti1Image(np.ascontiguousarray(array), image.affine @ np.diag([*steps, 1.0]))


def depth_of_lesion(image: nib.Nifti1Image, start: tuple[float, float, float], lobes: int) -> np.ndarray:
    """
    How deep each voxel lies in an irregular lesion of four axial slices: 0 in its middle, 1 on its edge.

    Args:
        image: RAS without rotation.
        start: MNI x, y of the middle, and z of the lowest slice, mm.
        lobes: of the outline.
    """
    spacing, origin = np.diag(image.affine)[:3], image.affine[:3, 3]
    x, y = (origin[k] + spacing[k] * np.arange(image.shape[k]) - start[k] for k in (0, 1))
    x, y = x[:, None], y[None]
    radius = RADIUS * (1 + 0.2 * np.sin(lobes * np.arctan2(y, x)))
    depth = np.full(image.shape, np.inf)
    first = int(round((start[2] - origin[2]) / spacing[2]))
    for k, share in enumerate(TAPER):
        depth[:, :, first + k] = np.sqrt(x**2 + y**2) / (radius * share)
    return depth


def labels_of(depth: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Labels of a tumour: 1 necrotic core, 3 enhancing rim, 2 edema; 0 outside."""
    return np.select([~inside | (depth >= 1), depth < 0.45, depth < 0.65], [0, 1, 3], 2).astype(np.uint8)


def write_inputs(folder: Path) -> None:
    """
    Write every input.

    ``scan``: skull-stripped, float, so that no rounding hides a change of an edit. ``template``: all its slices.
    ``turned``: the scan in another orientation, as integers with a slope. ``coarse``: 2 mm, with a skull and a brain
    mask. Each has a lesion of its own, as a mask (``…lesion``) and as labels (``…regions``). ``training``: slices.
    """
    folder.mkdir(parents=True)
    whole = template()
    scan, coarse = every_nth(whole, (1, 1, THICKNESS)), every_nth(whole, (2, 2, 2))
    _write_case(folder, scan, RIGHT, 3, "scan")
    _write_case(folder, whole, RIGHT, 3, "template", "template_")
    _write_case(folder, scan, LEFT, 4, "turned", "turned_", turned=True)
    _write_case(folder, coarse, FRONT, 5, "coarse", "coarse_", skull=True)
    around = ndimage.binary_dilation(np.asarray(nib.load(folder / "lesion.nii.gz").dataobj) > 0, iterations=3)
    _save(folder / "region.nii.gz", around.astype(np.uint8), scan.affine)
    for bundle in ("stroke", "tumor"):
        cases = [_entry("scan", ""), _entry("turned", "turned_"), _entry("coarse", "coarse_")]
        cases[2]["brain"] = "coarse_brain.nii.gz"
        if bundle == "stroke":
            cases = [{key: name for key, name in case.items() if key != "regions"} for case in cases]
        (folder / f"{bundle}.json").write_text(json.dumps(cases, indent=1) + "\n", encoding="utf-8")
    _write_training(folder / "training", coarse)


def _entry(scan: str, prefix: str) -> dict[str, str]:
    files = {"scan": scan, "pathology": f"{prefix}lesion", "regions": f"{prefix}regions"}
    return {"case_id": f"case_{scan}", **{key: f"{name}.nii.gz" for key, name in files.items()}}


def _write_case(
    folder: Path,
    image: nib.Nifti1Image,
    start: tuple[float, float, float],
    lobes: int,
    name: str,
    prefix: str = "",
    turned: bool = False,
    skull: bool = False,
) -> None:
    array = np.asarray(image.dataobj)
    brain = ndimage.binary_fill_holes(array > 0)
    labels = labels_of(depth_of_lesion(image, start, lobes), brain)
    if skull:
        distance = ndimage.distance_transform_edt(~brain)
        array = np.where((distance > 2) & (distance <= 4), np.float32(700), array)
        _save(folder / f"{prefix}brain.nii.gz", brain.astype(np.uint8), image.affine)
    files = {name: array, f"{prefix}lesion": (labels > 0).astype(np.uint8), f"{prefix}regions": labels}
    for file, content in files.items():
        slope = 0.5 if turned and file == name else None
        _save(folder / f"{file}.nii.gz", content, image.affine, "PIR" if turned else "RAS", slope)


def _save(path: Path, array: np.ndarray, affine: np.ndarray, axes: str = "RAS", slope: float | None = None) -> None:
    """Save in an orientation; with a slope as 16-bit integers."""
    stored = array if slope is None else np.rint(array / slope).astype(np.int16)
    turn = ornt_transform(io_orientation(affine), axcodes2ornt(axes))
    image = nib.Nifti1Image(stored, affine).as_reoriented(turn)
    if slope is not None:
        image.header.set_slope_inter(slope, 0)
    nib.save(image, path)


def _write_training(folder: Path, image: nib.Nifti1Image) -> None:
    """
    Pairs of slices with and without a lesion, and their ``datalist.json``.

    The lesion darkens the slice, and its surroundings a little, so that there is a change outside it to learn.
    """
    folder.mkdir()
    rng = np.random.default_rng(0)
    array = np.asarray(image.dataobj)
    entries = []
    for k in range(TRAINED_ON + VALIDATED_ON):
        z = 36 + 2 * k
        x, y = rng.uniform(20, 45) * rng.choice([-1, 1]), rng.uniform(-45, 15)
        depth = depth_of_lesion(image, (x, y, image.affine[2, 3] + 2 * (z - 1)), int(rng.integers(2, 6)))[:, :, z]
        prior = np.clip(array[:, :, z] / np.percentile(array[:, :, z][array[:, :, z] > 0], 98), 0, 1)
        brain = ndimage.binary_fill_holes(prior > 0)
        labels = labels_of(depth, brain)
        changed = prior * np.select([labels > 0, depth < 1.4], [0.4, 0.8], 1.0)
        planes = {"image": changed, "prior": prior, "brain": brain, "prior_brain": brain}
        planes |= {"pathology": labels > 0, "regions": labels}
        entry: dict[str, str] = {"case_id": f"case_{k}"}
        for key, plane in planes.items():
            entry[key] = f"{key}_{k}.nii"
            kind = np.float32 if key in ("image", "prior") else np.uint8
            nib.save(nib.Nifti1Image(_framed(plane).astype(kind)[..., None], np.eye(4)), folder / entry[key])
        entries.append(entry)
    lists = {"training": entries[:TRAINED_ON], "validation": entries[TRAINED_ON:]}
    (folder / "datalist.json").write_text(json.dumps(lists, indent=1) + "\n", encoding="utf-8")


def _framed(plane: np.ndarray) -> np.ndarray:
    """A slice in the middle of a square of the model's size."""
    frame = [((SIDE - n) // 2, SIDE - n - (SIDE - n) // 2) for n in plane.shape]
    return np.pad(plane, frame)
