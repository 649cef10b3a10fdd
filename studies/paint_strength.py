# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""
How strong shall the paint be? Contrast and the two-sample test of painted lesions, at several strengths.

    python -m studies.paint_strength --cohort out/cohort --condition regions --strengths 1 1.1 1.25

Paints the lesions of a cohort's *validation* slices onto scans that the true displacement has moved: nothing but the
painter is judged, and nothing is chosen by the testing cases. Of volumes it takes crops (``mededit simulate --crops``),
which come displaced. The two-sample test leaves anatomies out, so a cohort of one has a dash there. Writes
``paint_strength.md`` and prints it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from mededit_monai.core.errors import InputError, exit_on_bad_input, require_whole
from mededit_monai.core.paths import user_path
from mededit_monai.core.program import run_program
from mededit_monai.evaluation.displaced import read_along_axes
from mededit_monai.io.atomic import write_text
from mededit_monai.io.datalist import read_datalist
from mededit_monai.io.nifti import read_array
from mededit_monai.io.outputs import OutputFolder
from mededit_monai.io.provenance import DISCLAIMER
from mededit_monai.judges.samples import cohort_disease
from mededit_monai.methods.build import build_editor
from mededit_monai.methods.record import METHODS
from mededit_monai.metrics.contrast import lesion_contrast
from mededit_monai.metrics.lesion_features import lesion_features, lesion_test
from mededit_monai.reports.plain_text import markdown_table
from mededit_monai.sampling.noise import case_seed
from mededit_monai.space.conditions import condition_channels
from mededit_monai.space.flow import pull
from mededit_monai.space.intensity import to_model_range, to_unit_range
from mededit_monai.workflows import bundle_content
from studies.cohorts import bundle_of, require_told

#: Fewest pixels of a lesion that has an inside to look at, and cases painted at a time, by the spatial dimensions.
SMALLEST, PORTION = {2: 20, 3: 60}, {2: 64, 3: 2}

PLANES = ("prior", "prior_brain", "image", "pathology", "regions")


def are_crops(datalist: Path) -> bool:
    """Whether a cohort's cases are crops of volumes."""
    return bool(read_datalist(datalist, "validation")[0].get("displaced"))


def read_cases(datalist: Path, pixel_mm: float, condition: str, count: int) -> list[dict]:
    """Up to ``count`` validation cases in an order that is drawn once, their scans moved by the true displacement."""
    cases, found, crops = read_datalist(datalist, "validation"), [], are_crops(datalist)
    for k in np.random.default_rng(0).permutation(len(cases)):
        if len(found) == count:
            break
        case = cases[k]
        if crops:  # the displaced scan stands for the one without lesion
            case = case | {"prior": case["displaced"], "prior_brain": case["brain"]}
        names = [name for name in PLANES if case.get(name) and (name != "regions" or condition == "regions")]
        planes = {name: np.asarray(read_array(case[name]), dtype=np.float32) for name in names}
        planes = planes if crops else {name: plane[..., 0] for name, plane in planes.items()}
        if (planes["pathology"] > 0).sum() < SMALLEST[3 if crops else 2]:
            continue
        if crops:
            moved = planes["prior"] * planes["prior_brain"]
            found.append({**planes, "moved": moved, "id": case["case_id"], "anatomy": case["anatomy"]})
            continue
        steps = torch.from_numpy(read_along_axes(case["displacement"], 2) / pixel_mm)[None]
        moved = pull(torch.from_numpy(planes["prior"])[None, None], steps)[0, 0].numpy() * planes["prior_brain"]
        found.append({**planes, "moved": moved, "id": case["case_id"], "anatomy": case["anatomy"]})
    return found


def measure(
    cases: Sequence[dict], network: torch.nn.Module, scheduler: object, condition: str, strength: float
) -> list:
    """Contrast, and AUC by squares and by trees (NaN of one anatomy), of the cases painted with a strength."""
    told = "regions" if condition == "regions" else "pathology"
    settings = dict(METHODS["morph"].defaults(None, condition, cases[0]["moved"].ndim)) | {"guidance": strength}
    for name in ("effects", "spatial_dims"):  # the true displacement is in place of the first, the cases say the other
        settings.pop(name, None)
    editor = build_editor("morph", scheduler, condition, **settings, clip=(-1, 1))
    painted: list[np.ndarray] = []
    portion = PORTION[cases[0]["moved"].ndim]
    for part in (cases[k : k + portion] for k in range(0, len(cases), portion)):
        scan, brain = (
            torch.from_numpy(np.stack([case[key] for case in part]))[:, None] for key in ("moved", "prior_brain")
        )
        channels = torch.stack([condition_channels(torch.from_numpy(case[told])[None], condition) for case in part])
        seeds = [case_seed(0, case["id"]) for case in part]
        edit = editor(to_model_range(scan), network, brain, channels, seeds=seeds)
        painted += list(to_unit_range(edit.image)[:, 0].numpy())

    def features(image: np.ndarray, case: dict) -> np.ndarray:
        lesion, brain = case["pathology"] > 0, case["prior_brain"] > 0
        return lesion_features(image, case["moved"], lesion, brain, case.get("regions"))

    edits = np.stack([features(image, case) for image, case in zip(painted, cases)])
    truths = np.stack([features(case["image"] * case["prior_brain"], case) for case in cases])
    groups = [case["anatomy"] for case in cases]
    contrasts = [
        lesion_contrast(
            case["prior"] * case["prior_brain"], image, case["image"] * case["prior_brain"], case["pathology"]
        )
        for image, case in zip(painted, cases)
    ]
    kinds = ("quadratic", "trees") if len(set(groups)) > 1 else ()  # of one anatomy none can be left out
    tests = [lesion_test(edits, truths, groups, kind, draws=50).value for kind in kinds] or [float("nan")] * 2
    return [float(np.nanmean(contrasts)), *tests]


def compare(
    cohort: str,
    output: str,
    bundle: str | None,
    condition: str,
    strengths: Sequence[float],
    count: int,
    weights: str | None = None,
) -> str:
    """
    The table of all strengths.

    Args:
        cohort: folder of ``mededit simulate``; bundle: name or folder, None: that of the cohort's disease.
        condition: what the painter is told, mask or (tumours) regions; count: at most so many cases.
        weights: of a painter in place of the bundle's.

    Raises:
        InputError: no validation cases with a lesion, another disease's bundle, regions of a disease that has none, or
            a file in the way.
    """
    require_whole("cases", count, 1, most=10**7)
    folder = OutputFolder(user_path(output))
    folder.require_free(["paint_strength.md"])
    datalist, disease = user_path(cohort) / "datalist.json", cohort_disease(cohort)
    require_told(disease, condition)
    bundle = bundle_of(disease, bundle)
    dims = 3 if are_crops(datalist) else 2
    network, scheduler, pixel = bundle_content(
        bundle,
        ("network", "scheduler", "effects_network_def#pixel_mm"),
        method="morph",
        condition=condition,
        spatial_dims=dims,
        weights=weights,
        effects=0,
    )
    cases = read_cases(datalist, float(pixel), condition, count)
    if not cases:
        raise InputError(f"--cohort: {cohort} has no validation case whose lesion has {SMALLEST[dims]} pixels.")
    with torch.no_grad():
        rows = [[f"{one:g}", *measure(cases, network, scheduler, condition, one)] for one in strengths]
    heads = ["strength", "lesion contrast, 1 is right", "in-lesion AUC, 0.5 is best", "the same, trees"]
    shown = [[row[0], *("–" if value != value else f"{value:.3f}" for value in row[1:])] for row in rows]
    title = f"# Strength of the paint: {bundle}, {condition}, {len(cases)} validation cases"
    text = "\n".join([title, "", DISCLAIMER, "", *markdown_table(heads, shown), ""])
    folder.reserve(["paint_strength.md"])
    write_text(user_path(output) / "paint_strength.md", text)
    return text


def main(words: Sequence[str] | None = None) -> int:
    """Command line of the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cohort", required=True, help="folder of mededit simulate: slices, or crops")
    parser.add_argument("--bundle", default=None, help="default: that of the cohort's disease")
    parser.add_argument("--condition", default="mask", choices=("mask", "regions"))
    parser.add_argument("--strengths", nargs="+", type=float, default=[1.0, 1.1, 1.25])
    parser.add_argument("--cases", type=int, default=200)
    parser.add_argument("--weights", default=None, help="a painter in place of the bundle's")
    parser.add_argument("--output_dir", "-o", default="out/paint_strength")
    asked = parser.parse_args(words)
    with exit_on_bad_input():
        what = (asked.cohort, asked.output_dir, asked.bundle, asked.condition, asked.strengths, asked.cases)
        print(compare(*what, asked.weights))
    return 0


if __name__ == "__main__":
    run_program(lambda: sys.exit(main()))
