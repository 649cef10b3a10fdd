# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""
Does the embedded judge agree on ventricle area with a network that owes nothing to this project, on real scans?

    python -m studies.ventricle_agreement --scans DIR --meshnet DIR -o out/ventricles

Scans: T1 NIfTI files, skull-stripped or with ``X_brain.nii.gz`` beside them (those without a usable mask are left out,
by name). MeshNet (brainchop, 18 classes) labels the volume on its 1 mm grid; the judge sees axial slices in the model's
geometry. Areas are compared slice by slice, in mm².
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from nibabel.orientations import apply_orientation, io_orientation
from tqdm import tqdm

from mededit_monai.core.errors import InputError, exit_on_bad_input
from mededit_monai.core.paths import user_path
from mededit_monai.core.program import run_program
from mededit_monai.diseases import DISEASES
from mededit_monai.io.atomic import replacing, write_json, write_text
from mededit_monai.io.held import held_folder
from mededit_monai.io.nifti import Volume, binary_mask, read_volume, require_same_grid
from mededit_monai.io.outputs import OutputFolder, require_outside
from mededit_monai.judges.embedded import Judge, load_judge
from mededit_monai.metrics.adherence import dice
from mededit_monai.metrics.statistics import bootstrap
from mededit_monai.prepare.brain import brain_from_background
from mededit_monai.reports.plain_text import markdown_table, plain_legend
from mededit_monai.simulation.anatomies import stem
from mededit_monai.space.intensity import intensity_ceiling, to_unit
from mededit_monai.space.model_space import ModelSpace, shrunk
from studies.ventricles_meshnet import lateral_classes, load_meshnet, segment_scan

#: What is written.
FILES = ("agreement.json", "agreement.md", "agreement.png")

#: Slices nearer than this to each other say the same; mm.
STEP_MM = 3.0

#: Ventricle area of MeshNet's from which a slice counts as one through the ventricles' body; mm².
LARGE_MM2 = 100.0


def brain_of(volume: Volume) -> np.ndarray:
    """
    Brain mask, XxYxZ bool in RAS order: ``X_brain.nii.gz`` beside the scan, else its background.

    Raises:
        InputError: a whole head without a mask.
    """
    place = volume.path.with_name(stem(volume.path) + "_brain.nii.gz")
    if not place.is_file():
        return brain_from_background(volume)
    given = read_volume(place)
    require_same_grid(given, volume)
    return binary_mask(given)


def compare_scan(path: Path, judge: Judge, network: Any, classes: tuple[int, ...]) -> list[dict[str, Any]]:
    """
    Areas in mm² by both, and their Dice, for slices of a scan in which MeshNet or the judge sees a ventricle.

    Raises:
        InputError: a scan that cannot be used.
    """
    volume = read_volume(path)
    brain, disease = brain_of(volume), DISEASES[judge.disease]
    stored, affine = segment_scan(network, path)
    lateral = np.isin(apply_orientation(stored, io_orientation(affine)), classes)
    space = ModelSpace.around_brain(brain, volume.affine, disease.window)
    stride = max(1, round(STEP_MM / volume.spacing[2]))
    heights = [z for z in range(0, brain.shape[2], stride) if brain[:, :, z].any()]
    planes, truth = [], []
    for z in heights:
        inside = space.to_window(brain[:, :, z].astype(np.float32), order=0)
        plane = space.to_window(volume.data[:, :, z]) * inside
        small = shrunk(to_unit(plane, intensity_ceiling(plane, disease.percentile)))
        planes.append(np.clip(small, 0, 1) * (shrunk(inside) >= 0.5))
        truth.append(shrunk(space.to_window(lateral[:, :, z].astype(np.float32))) >= 0.5)
    found = judge.segment(np.stack(planes))["ventricles"] > 0
    pixel = disease.pixel_mm**2
    return [
        {
            "scan": stem(path),
            "slice": z,
            "judge_mm2": float(mine.sum() * pixel),
            "meshnet_mm2": float(theirs.sum() * pixel),
            "dice": dice(mine, theirs),
        }
        for z, mine, theirs in zip(heights, found, truth)
        if mine.any() or theirs.any()
    ]


def agreement(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Correlation, slope through 0 of the judge's areas on MeshNet's, and means with intervals (scans, slices)."""
    first, second = (np.array([row[key] for row in rows]) for key in ("judge_mm2", "meshnet_mm2"))
    scans = [row["scan"] for row in rows]
    dices, large = np.array([row["dice"] for row in rows]), second >= LARGE_MM2
    spread = first.std() > 0 and second.std() > 0
    return {
        "slices": len(rows),
        "scans": len(set(scans)),
        "r": float(np.corrcoef(first, second)[0, 1]) if spread else None,
        "slope": float((first * second).sum() / (second**2).sum()) if second.any() else None,
        "difference_mm2": asdict(bootstrap(first - second, scans)),
        "absolute_difference_mm2": asdict(bootstrap(np.abs(first - second), scans)),
        "dice": asdict(bootstrap(dices, scans)),
        "dice_where_large": asdict(bootstrap(dices[large], np.array(scans)[large].tolist())) if large.any() else None,
    }


def report(scans: Path, meshnet: Path, output: Path, disease: str, weights: str | None) -> dict[str, Any]:
    """
    Compare on every scan of a folder; writes ``agreement.json``, ``agreement.md``, ``agreement.png``.

    Raises:
        InputError: no scan that can be used, or model files that cannot.
    """
    scans, meshnet, output = user_path(scans), user_path(meshnet), user_path(output)
    if not scans.is_dir():
        raise InputError(f"--scans: {scans} is no folder; give one of T1 scans.")
    for folder, what in ((scans, "the scans"), (meshnet, "the model")):
        require_outside(output, folder, what)
    OutputFolder(output).require_free(FILES)
    judge, network = load_judge(disease, weights), load_meshnet(meshnet)
    files = {stem(p): p for p in sorted(scans.glob("*.nii*"))}
    # X_brain is a mask where X is there too; alone it is a scan of that name.
    paths = [p for name, p in files.items() if not (name.endswith("_brain") and name.removesuffix("_brain") in files)]
    rows, left_out, seconds = [], {}, {}
    for path in tqdm(paths, desc="comparing", disable=not sys.stderr.isatty()):
        started = time.perf_counter()
        try:
            rows += compare_scan(path, judge, network, lateral_classes(meshnet))
            seconds[stem(path)] = round(time.perf_counter() - started, 1)
        except InputError as error:
            left_out[stem(path)] = str(error)
            print(f"left out {error}", file=sys.stderr)
    if not rows:
        raise InputError(
            f"{scans}: none of {len(paths)} scans could be compared; wanted T1 scans, skull-stripped or with "
            f"X_brain.nii.gz beside X.nii.gz."
        )
    found = {"judge": judge.name, **agreement(rows), "seconds": seconds, "left_out": left_out, "rows": rows}
    with held_folder(output, FILES):
        write_json(output / "agreement.json", found)
        write_text(output / "agreement.md", _markdown(found))
        _scatter(rows, output / "agreement.png")
    return found


def _markdown(found: dict[str, Any]) -> str:
    def number(value: float | None) -> str:
        return "–" if value is None else f"{value:.2f}"

    lines = [
        f"# Ventricle area: {found['judge']} against MeshNet (brainchop)",
        "",
        "Real scans, axial slices in the model's geometry. Neither is the truth. Research use only.",
        "",
        f"{found['slices']} slices of {found['scans']} scans: "
        f"r = {number(found['r'])}, slope through 0 {number(found['slope'])}.",
        "",
    ]
    names = {
        "difference_mm2": "judge − MeshNet, mm²",
        "absolute_difference_mm2": "absolute difference, mm²",
        "dice": "Dice, all slices in which either sees a ventricle",
        "dice_where_large": f"Dice, slices in which MeshNet sees at least {LARGE_MM2:.0f} mm²",
    }
    known = [(name, found[key]) for key, name in names.items() if found[key] is not None]
    rows = [[name, f"{one['value']:.3g}", f"{one['low']:.3g} … {one['high']:.3g}"] for name, one in known]
    lines += markdown_table(["", "value", "95 % interval (scans, then slices)"], rows)
    lines += ["", *(f"Left out: {sentence}" for sentence in found["left_out"].values())]
    return "\n".join(lines) + "\n"


def _scatter(rows: list[dict[str, Any]], path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 5), layout="constrained")
    axes = figure.subplots()
    dots, names = [], list(dict.fromkeys(row["scan"] for row in rows))
    for scan in names:
        chosen = [row for row in rows if row["scan"] == scan]
        dots += axes.plot([r["meshnet_mm2"] for r in chosen], [r["judge_mm2"] for r in chosen], "o", ms=3)
    limit = max(max(row["meshnet_mm2"], row["judge_mm2"]) for row in rows)
    axes.plot([0, limit], [0, limit], color="grey", lw=0.8)
    axes.set(xlabel="MeshNet, mm² a slice", ylabel="embedded judge, mm² a slice", title="lateral ventricles")
    plain_legend(axes, dots, names, fontsize=7)
    with replacing(path) as unfinished:
        figure.savefig(unfinished, dpi=100)


def main(words: list[str] | None = None) -> None:
    """Command line; exit code 2 and a sentence for bad input."""
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").split("\n\n")[0], allow_abbrev=False, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--scans", type=Path, required=True, help="folder of T1 scans")
    parser.add_argument("--meshnet", type=Path, required=True, help="folder with model.json and model.bin")
    parser.add_argument("--disease", default="stroke", choices=list(DISEASES), help="whose judge")
    parser.add_argument("--weights", default=None, help="folder of a judge's training; default: the shipped one")
    parser.add_argument("-o", "--output_dir", type=Path, default=Path("out/ventricle_agreement"))
    given = parser.parse_args(words)
    with exit_on_bad_input():
        found = report(given.scans, given.meshnet, given.output_dir, given.disease, given.weights)
        print(f"{given.output_dir}/agreement.md: {found['slices']} slices of {found['scans']} scans, r = {found['r']}")


if __name__ == "__main__":
    run_program(main)
