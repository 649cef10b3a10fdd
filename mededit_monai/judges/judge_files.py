# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Judged images as files: which slices a path means, and masks, table and picture of what a judge finds on them."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from matplotlib.colors import ListedColormap
from tqdm import tqdm

from mededit_monai.core.errors import InputError
from mededit_monai.core.paths import user_path
from mededit_monai.datasets.sources import is_nifti
from mededit_monai.diseases import DISEASES
from mededit_monai.io.atomic import replacing, write_json, write_text
from mededit_monai.io.datalist import read_datalist
from mededit_monai.io.hashing import sha256
from mededit_monai.io.held import held_folder
from mededit_monai.io.nifti import read_volume, save_synthetic
from mededit_monai.io.outputs import OutputFolder, list_files, require_outside
from mededit_monai.io.provenance import DISCLAIMER, versions
from mededit_monai.judges.structures import TISSUES, VENTRICLES
from mededit_monai.reports.plain_text import PLAIN
from mededit_monai.simulation.anatomies import stem

#: Images in the picture.
SHOWN = 12

#: Masks that a judge may give for an image, and the files about all of them.
MASKS = ("pathology", "ventricles", "tissue", "regions")
SUMMARY_FILES = ("judged.json", "areas.csv", "preview.png")

#: Colours of fluid, gray and white matter.
TINTS = ListedColormap(["tab:blue", "tab:green", "gold"])

#: Slices HxW in a batch → masks NxHxW by name.
Segment = Callable[[np.ndarray], Mapping[str, np.ndarray]]


@dataclass(frozen=True)
class JudgedImage:
    """One file to judge: its name in the output, and its slices NxHxW in [0, 1] with the affine of the file."""

    name: str
    path: Path
    slices: np.ndarray
    affine: np.ndarray


def find_images(given: str | Path) -> dict[str, Path]:
    """
    Which files a path means: name in the output → file.

    Args:
        given: a NIfTI file; a folder of edits (``CASE/edited_slice.nii.gz``, also of samples); a folder of NIfTI files;
            or a datalist (its ``image`` files).

    Raises:
        InputError: nothing found.
    """
    path = user_path(given)
    if path.is_dir():
        edits = sorted(path.rglob("edited_slice.nii*"))
        if edits:
            return _by_name(("_".join(p.parent.relative_to(path).parts) or path.resolve().name, p) for p in edits)
        found = _by_name((stem(p), p) for p in sorted(path.iterdir()) if is_nifti(p))
        if found:
            return found
        raise InputError(
            f"{path}: holds neither edits of slices (edited_slice.nii.gz) nor NIfTI files; give another folder, or "
            f"edit with --spatial_dims 2."
        )
    if path.suffix == ".json":
        found = {case["case_id"]: Path(case["image"]) for case in read_datalist(path) if case.get("image")}
        if not found:
            raise InputError(f"{path}: none of its cases has an 'image'; give a datalist of images, or a folder.")
        return found
    return {stem(path): path}


def _by_name(pairs: Iterable[tuple[str, Path]]) -> dict[str, Path]:
    """InputError where two files would have one name in the output."""
    found: dict[str, Path] = {}
    for name, path in pairs:
        if name in found:
            raise InputError(f"{path}: its masks would be called '{name}' as those of {found[name]}; rename one.")
        found[name] = path
    return found


def read_image(name: str, path: Path) -> JudgedImage:
    """
    Slices of a file in the model's geometry.

    Raises:
        InputError: not 128x128 in the plane, or values outside [0, 1].
    """
    volume = read_volume(path)
    if volume.data.shape[:2] != (128, 128):
        raise InputError(
            f"{path}: has shape {volume.data.shape}, wanted 128x128 slices in model space; give edited_slice.nii.gz of "
            f"an edit, or slices of a cohort."
        )
    low, high = float(volume.data.min()), float(volume.data.max())
    if low < -1e-3 or high > 1 + 1e-3:
        raise InputError(
            f"{path}: holds values from {low:g} to {high:g}, wanted 0 … 1 (scan times brain mask); give "
            f"edited_slice.nii.gz, or prepare slices with 'mededit dataset'."
        )
    return JudgedImage(name, path, np.moveaxis(volume.data, 2, 0).clip(0, 1), volume.affine)


def judge_images(
    images: str | Path,
    output: str | Path,
    segment: Segment,
    facts: Mapping[str, Any],
    progress: bool = True,
    overwrite: bool = False,
) -> dict[str, Any]:
    """
    Judge files and write, for each, its masks; and for all ``areas.csv``, ``judged.json`` and ``preview.png``.

    Args:
        images: see :func:`find_images`.
        output: folder; ``NAME_pathology.nii.gz`` and so on are uint8 on the image's grid.
        segment: of a judge.
        facts: name of the judge, its ``disease`` (needed if it gives regions), its held-out Dice, …; written down.
        overwrite: whether files of an earlier run that were changed by hand may be replaced.

    Returns:
        the content of ``judged.json``.

    Raises:
        InputError: nothing to judge, a file that cannot be judged, an output in the folder of the images, or a file in
            the output folder that mededit did not write, or that was changed since (nothing is written then).
    """
    folder = user_path(output)
    require_outside(folder, user_path(images), "the folder of the images, so the next run would take masks for images")
    judged = [read_image(name, path) for name, path in find_images(images).items()]
    names = [f"{image.name}_{key}.nii.gz" for image in judged for key in MASKS]
    own = OutputFolder(folder, [user_path(images), *(image.path for image in judged)], overwrite)
    own.require_free(names)
    with held_folder(folder, SUMMARY_FILES, own.inputs, overwrite=overwrite):
        return _write_judged(judged, own, segment, facts, progress)


def _write_judged(
    judged: Sequence[JudgedImage], own: OutputFolder, segment: Segment, facts: Mapping[str, Any], progress: bool
) -> dict[str, Any]:
    folder = own.path
    rows, pictures = [], []
    for image in tqdm(judged, desc="judging", disable=not progress):
        masks = segment(image.slices)
        names = [f"{image.name}_{key}.nii.gz" for key in masks]
        _begin(own, names)
        for name, mask in zip(names, masks.values()):
            save_synthetic(np.moveaxis(np.asarray(mask), 0, 2).astype(np.uint8), image.affine, folder / name)
        _end(own, names)
        rows.append({"name": image.name, **_areas(masks, image.affine, facts.get("disease"))})
        pictures.append((image, masks))
    content = {
        **facts,
        "note": DISCLAIMER,
        "inputs": {image.name: sha256(image.path) for image in judged},
        "areas_mm2": rows,
        "versions": versions(),
    }
    _begin(own, SUMMARY_FILES)
    write_json(folder / "judged.json", content)
    stream = io.StringIO(newline="")
    writer = csv.DictWriter(stream, list(dict.fromkeys(key for row in rows for key in row)))
    writer.writeheader()
    writer.writerows(rows)
    write_text(folder / "areas.csv", stream.getvalue())
    _picture(pictures[:SHOWN], folder / "preview.png")
    _end(own, SUMMARY_FILES)
    return content


def _begin(own: OutputFolder, names: Sequence[str]) -> None:
    """List files that are about to be written; until they are whole, an older digest says nothing."""
    own.require_free(names)
    list_files(own.path, dict.fromkeys(names))


def _end(own: OutputFolder, names: Sequence[str]) -> None:
    """List what was written with its bytes, so that a later run knows what was changed by hand."""
    list_files(own.path, {name: sha256(own.path / name) for name in names})


def _areas(masks: Mapping[str, np.ndarray], affine: np.ndarray, disease: str | None) -> dict[str, float]:
    """Area of every label in mm², all slices together."""
    pixel = float(np.prod(np.linalg.norm(affine[:3, :2], axis=0)))
    found = {"pathology": float((masks["pathology"] > 0).sum()) * pixel}
    labels = {"ventricles": VENTRICLES, "tissue": TISSUES}
    if "regions" in masks:
        labels["regions"] = DISEASES[disease].structures
    for key, names in labels.items():
        if key in masks:
            found |= {name: float((masks[key] == k).sum()) * pixel for k, name in enumerate(names, start=1)}
    return found


def _picture(pictures: Sequence[tuple[JudgedImage, Mapping[str, np.ndarray]]], path: Path) -> None:
    from matplotlib.figure import Figure

    columns = min(4, len(pictures))
    rows = -(-len(pictures) // columns)
    figure = Figure(figsize=(3 * columns, 3.2 * rows + 0.4), layout="constrained")
    grid = list(figure.subplots(rows, columns, squeeze=False).flat)
    for axes in grid:
        axes.set_axis_off()
    for axes, (image, masks) in zip(grid, pictures):
        middle = int(np.asarray(masks["pathology"]).sum(axis=(1, 2)).argmax())
        axes.imshow(image.slices[middle].T, cmap="gray", origin="lower", vmin=0, vmax=1)
        tissue = masks.get("tissue")
        if tissue is not None:  # under the outlines of the others
            axes.imshow(np.ma.masked_equal(tissue[middle], 0).T, origin="lower", cmap=TINTS, vmin=1, vmax=3, alpha=0.3)
        for key, colour in (("pathology", "tab:red"), ("ventricles", "tab:cyan")):
            if key in masks and masks[key][middle].any():
                axes.contour((masks[key][middle] > 0).T, levels=[0.5], colors=colour, linewidths=0.9)
        axes.set_title(image.name, fontsize=8, **PLAIN)
    shown = "lesion red, ventricles cyan" + (
        "; fluid blue, gray green, white yellow" if any("tissue" in m for _, m in pictures) else ""
    )
    figure.suptitle(f"judged: {shown}; research use only", fontsize=9)
    with replacing(path) as unfinished:
        figure.savefig(unfinished, dpi=80)


def nifti_slice(plane: np.ndarray, affine: np.ndarray, path: Path) -> None:
    """Write a slice as (x, y, 1): nnU-Net takes the third axis for the slices, and plans for 2-D patches only then."""
    nib.save(nib.Nifti1Image(np.ascontiguousarray(plane)[..., None], affine), path)
