# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""
Do raw scans come back edited in the right place, however the head lay?

    python -m studies.raw_scans --scans DIR --motions 3 -o out/raw_scans

Scans: T1 NIfTI files. Of each the brain that is found is compared with the known one, where there is one
(``X_brain.nii.gz`` beside it, or the background of a skull-stripped scan), and a drawn lesion is edited into it with no
brain mask given. Whole heads are then moved rigidly by chance, the lesion with them, and edited again: the edit, moved
back, should lie in the same tissue.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from scipy import ndimage
from scipy.spatial.transform import Rotation

from mededit_monai import edit
from mededit_monai.core.errors import InputError, exit_on_bad_input, require_whole
from mededit_monai.core.program import run_program
from mededit_monai.io.atomic import write_bytes, write_json, write_text
from mededit_monai.io.displacement import read_displacement
from mededit_monai.io.held import held_folder
from mededit_monai.io.nifti import NativeCopy, binary_mask, read_volume, save_image
from mededit_monai.metrics.adherence import dice
from mededit_monai.prepare.brain import NotStripped, brain_from_background
from mededit_monai.prepare.extract import extracted_brain
from mededit_monai.prepare.preparation import Preparation
from mededit_monai.reports.plain_text import markdown_table
from mededit_monai.simulation.anatomies import stem
from mededit_monai.simulation.drawing import draw_lesion

#: What is written.
FILES = ("raw_scans.json", "raw_scans.md")

#: Heads are turned by up to so many degrees about any axis, and shifted by up to so many mm along each.
DEGREES, SHIFT_MM = 30.0, 8.0

#: Displacements of less than this are not compared, in mm.
MOVED_MM = 0.25

#: Changes of less than this share of the brain's brightest are not counted: they are texture.
LEAST = 0.1


@dataclass(frozen=True)
class Edited:
    """
    What an edit did.

    Args:
        folder: of its files.
        painted, moved: centres of the change by paint and of the displacement, world mm.
        field: displacement, 3xXxYxZ, mm along the world's axes; affine: of its voxels.
        largest_mm: displacement; outside: voxels that changed outside the region; facts: its provenance.
    """

    folder: Path
    painted: np.ndarray
    moved: np.ndarray
    field: np.ndarray
    affine: np.ndarray
    largest_mm: float
    seconds: float
    outside: int
    facts: dict[str, Any]


def centre(weights: np.ndarray, affine: np.ndarray) -> np.ndarray:
    """Centre of mass, world mm."""
    found: np.ndarray = affine[:3, :3] @ ndimage.center_of_mass(weights) + affine[:3, 3]
    return found


def edited(scan: Path, lesion: Path, out: Path, options: dict[str, Any]) -> Edited:
    """Edit a scan with nothing said of its brain, and look at what came out."""
    started = time.perf_counter()
    (folder,) = edit(scan, lesion, out, progress=False, spatial_dims=3, **options)
    seconds = time.perf_counter() - started
    before, after = (np.asarray(nib.load(path).dataobj, np.float64) for path in (scan, folder / "edited.nii.gz"))
    stored = [np.asarray(nib.load(path).dataobj.get_unscaled()) for path in (scan, folder / "edited.nii.gz")]
    region = np.asarray(nib.load(folder / "edit_region.nii.gz").dataobj) > 0
    mask = np.asarray(nib.load(lesion).dataobj) > 0
    affine = nib.load(scan).affine
    change = np.abs(after - before)
    near = ndimage.binary_dilation(mask, iterations=3)
    painted = np.where(near & (change > LEAST * np.percentile(before[region], 98)), change, 0)
    field, _ = read_displacement(folder / "displacement.nii.gz")
    return Edited(
        folder,
        centre(painted, affine),
        centre(np.linalg.norm(field, axis=0), affine),
        field,
        affine,
        json.loads((folder / "effects.json").read_bytes())["largest_displacement_mm"],
        seconds,
        int(np.count_nonzero((stored[0] != stored[1]) & ~region)),
        json.loads((folder / "provenance.json").read_bytes()),
    )


def tissue_apart(first: Edited, again: Edited, motion: np.ndarray) -> np.ndarray:
    """
    How far apart two edits take the same tissue from, mm, at every voxel that the first one moves.

    Args:
        motion: of the head between them (4x4, RAS mm).
    """
    voxels = np.argwhere(np.linalg.norm(first.field, axis=0) > MOVED_MM)
    there = np.linalg.inv(again.affine) @ motion @ first.affine @ np.c_[voxels, np.ones(len(voxels))].T
    found = np.stack([ndimage.map_coordinates(one, there[:3], order=1, mode="nearest") for one in again.field])
    back = motion[:3, :3].T @ found
    apart: np.ndarray = np.linalg.norm(back - first.field[(slice(None), *voxels.T)], axis=0)
    return apart


def moved_by(path: Path, motion: np.ndarray, to: Path, order: int) -> None:
    """The content of a file after a rigid motion of the world (4x4, RAS mm), on the file's own grid."""
    image = nib.load(path)
    back = np.linalg.inv(image.affine) @ np.linalg.inv(motion) @ image.affine
    data = np.asarray(image.dataobj, np.float32)
    data = data.reshape(data.shape[:3])
    found = ndimage.affine_transform(data, back[:3, :3], back[:3, 3], order=order)
    found = np.clip(found, data.min(), data.max())
    save_image(found.astype(np.uint8 if order == 0 else np.float32), image.affine, to)


def a_motion(rng: np.random.Generator, about: np.ndarray) -> tuple[np.ndarray, float]:
    """A random rigid motion about a point (world mm), 4x4, and its angle in degrees."""
    axis = rng.standard_normal(3)
    angle = rng.uniform(10, DEGREES)
    motion = np.eye(4)
    motion[:3, :3] = Rotation.from_rotvec(axis / np.linalg.norm(axis) * angle, degrees=True).as_matrix()
    motion[:3, 3] = about - motion[:3, :3] @ about + rng.uniform(-SHIFT_MM, SHIFT_MM, 3)
    return motion, float(angle)


def study_scan(
    path: Path, out: Path, motions: int, seed: int, options: dict[str, Any], pictures: dict[str, bytes]
) -> dict[str, Any]:
    """
    All figures of one scan.

    Args:
        out: for what is made on the way; pictures: gets those of its edit.

    Raises:
        InputError: a scan that cannot be used.
    """
    scan, beside = read_volume(path), path.with_name(stem(path) + "_brain.nii.gz")
    started = time.perf_counter()
    brain = extracted_brain(scan)
    found = Preparation.of(scan, brain, "network")
    result: dict[str, Any] = {"scan": path.name, "prepare_seconds": round(time.perf_counter() - started, 1)}
    result |= {k: v for k, v in found.facts().items() if k not in ("pose", "template_to_scan", "brain_source")}
    try:
        known, head = brain_from_background(scan), False
    except NotStripped:
        known, head = (binary_mask(read_volume(beside)) if beside.is_file() else None), True
    result |= {"whole_head": head, "brain_dice": None if known is None else round(float(dice(brain, known)), 4)}
    place, mask = out / stem(path), out / f"{stem(path)}_found_brain.nii.gz"
    save_image(NativeCopy.to_native(brain.astype(np.uint8), scan), scan.native_affine, mask)
    lesion = out / f"{stem(path)}_lesion.nii.gz"
    draw_lesion(path, lesion, brain=mask, overwrite=True)
    first = edited(path, lesion, place, options)
    for name, picture in (("edit", first.folder / "preview.png"), ("check", first.folder / "prepare" / "check.png")):
        if picture.is_file():
            pictures[f"{stem(path)}_{name}.png"] = picture.read_bytes()
    result |= {
        "seconds": round(first.seconds, 1),
        "changed_outside": first.outside,
        "warnings": first.facts["warnings"],
    }
    rng, result["motions"] = np.random.default_rng(seed), []
    for number in range(motions if head else 0):
        motion, angle = a_motion(rng, centre(brain, scan.affine))
        turned, its = out / f"moved_{number}" / path.name, out / f"moved_{number}" / lesion.name
        turned.parent.mkdir(exist_ok=True)
        moved_by(path, motion, turned, 3)
        moved_by(lesion, motion, its, 0)
        again, back = edited(turned, its, place / f"moved_{number}", options), np.linalg.inv(motion)
        apart = [
            float(np.linalg.norm(back[:3, :3] @ new + back[:3, 3] - old))
            for new, old in ((again.painted, first.painted), (again.moved, first.moved))
        ]
        between = tissue_apart(first, again, motion)
        result["motions"].append(
            {
                "degrees": round(angle, 1),
                "tilt_found": again.facts["preparation"]["tilt_degrees"],
                "paint_mm": round(apart[0], 2),
                "moved_tissue_mm": round(apart[1], 2),
                "tissue_mm": [round(float(between.mean()), 2), round(float(np.percentile(between, 95)), 2)],
                "largest_displacement_mm": [round(first.largest_mm, 2), round(again.largest_mm, 2)],
                "changed_outside": again.outside,
            }
        )
    return result


def report(rows: list[dict[str, Any]], command: str) -> str:
    """The page."""
    table = [
        [
            row["scan"],
            "whole head" if row["whole_head"] else "skull-stripped",
            "–" if row["brain_dice"] is None else f"{row['brain_dice']:.3f}",
            f"{row['brain_ml']:.0f}",
            f"{row['tilt_degrees']:.0f}",
            f"{row['correlation']:.2f}",
            f"{row['overlap_of_brains']:.2f}",
            f"{row['prepare_seconds']:.0f}",
            f"{row['seconds']:.0f}",
            str(row["changed_outside"]),
        ]
        for row in rows
    ]
    moved = [
        [
            row["scan"],
            f"{one['degrees']:.0f}",
            f"{one['tilt_found']:.0f}",
            f"{one['paint_mm']:.2f}",
            f"{one['moved_tissue_mm']:.2f}",
            "{:.2f}; {:.2f}".format(*one["tissue_mm"]),
            " / ".join(f"{mm:.2f}" for mm in one["largest_displacement_mm"]),
            str(one["changed_outside"]),
        ]
        for row in rows
        for one in row["motions"]
    ]
    titles = ["scan", "shows", "brain: Dice", "ml", "tilt, °", "correlation", "overlap", "s to prepare"]
    titles += ["s an edit", "voxels changed outside the region"]
    of_motions = ["scan", "turned by, °", "tilt found, °", "paint apart, mm", "movement apart, mm"]
    of_motions += ["tissue apart, mm: mean; 95 %"]
    of_motions += ["largest displacement, mm, before / after", "voxels changed outside the region"]
    lines = [
        "# Raw scans",
        "",
        "Each scan is edited with one command and no brain mask. Dice compares the brain that a network finds with the",
        "known one: the background of a skull-stripped scan, or a mask beside it; a dash where there is none.",
        "",
        *markdown_table(titles, table),
        "",
        "## The same heads after a rigid motion",
        "",
        "Scan and lesion are moved by chance and edited again. The centres of what was painted and of all movement,",
        "brought back, are compared with those of the first edit; and wherever the first one moves tissue by more than",
        f"{MOVED_MM} mm, the places from which the two take it.",
        "",
        *markdown_table(of_motions, moved),
        "",
        f"Command: `{command}`.",
    ]
    return "\n".join(lines) + "\n"


def main(words: list[str] | None = None) -> None:
    """Command line; exit code 2 and a sentence for bad input."""
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").split("\n\n")[0], allow_abbrev=False, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--scans", type=Path, required=True, help="folder of T1 scans")
    parser.add_argument("--motions", type=int, default=3, help="random rigid motions of every whole head")
    parser.add_argument("--seed", type=int, default=0, help="of the motions")
    parser.add_argument("--bundle", default="stroke", help="stroke, tumor or a bundle's folder")
    parser.add_argument("-o", "--output_dir", type=Path, default=Path("out/raw_scans"))
    given = parser.parse_args(words)
    with exit_on_bad_input():
        require_whole("motions", given.motions, 0, most=10**4)
        require_whole("seed", given.seed, 0)
        found = sorted(given.scans.glob("*.nii*"))
        masks = {path.with_name(f"{stem(path)}_brain.nii.gz") for path in found}
        scans = [path for path in found if path not in masks]
        if not scans:
            raise InputError(f"{given.scans}: holds no NIfTI file; give --scans a folder of T1 scans.")
        names = [f"{stem(path)}_{name}.png" for path in scans for name in ("edit", "check")]
        with held_folder(given.output_dir, [*FILES, *names], [given.scans]), tempfile.TemporaryDirectory() as work:
            rows, pictures = [], {}
            for path in scans:
                options = {"bundle": given.bundle}
                rows.append(study_scan(path, Path(work), given.motions, given.seed, options, pictures))
                print(json.dumps(rows[-1]), flush=True)
            command = f"python -m studies.raw_scans --scans DIR --motions {given.motions} --seed {given.seed}"
            write_json(given.output_dir / FILES[0], rows, indent=2)
            write_text(given.output_dir / FILES[1], report(rows, command))
            for name, content in pictures.items():
                write_bytes(given.output_dir / name, content)


if __name__ == "__main__":
    run_program(main)
