# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""
What a simulated cohort holds, measured case by case.

    python -m studies.simulation_report --anatomies DIR --lesions DIR --workers 2

Writes docs/results/simulation.md and .json and a montage of 100 slices of each disease under docs/images. Without
folders the embedded template and drawn lesions are measured. Exit code 1 if a property does not hold.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch

from mededit_monai.core.errors import exit_on_bad_input, require_whole
from mededit_monai.core.paths import default_cache, user_path
from mededit_monai.core.program import run_program
from mededit_monai.diseases import DISEASES, STRATA
from mededit_monai.io.atomic import write_json, write_text
from mededit_monai.io.datalist import read_datalist
from mededit_monai.io.provenance import DISCLAIMER, versions
from mededit_monai.reports.plain_text import markdown_table
from mededit_monai.simulation.anatomies import load_anatomy
from mededit_monai.simulation.draw_case import LesionPool, draw_case
from mededit_monai.simulation.files import write_case
from mededit_monai.simulation.lesion_library import open_library
from mededit_monai.simulation.plan import Recipe, plan_cases
from mededit_monai.simulation.simulate import simulate_cohort
from studies.simulation_measures import measure_case, summarise, ventricle_areas
from studies.simulation_montage import save_montage


def report(disease: str, cases: int, anatomies: str | None, lesions: str | None, workers: int, seed: int) -> dict:
    """
    Simulate a cohort in a temporary folder and measure every case.

    Returns:
        the summary of :func:`summarise`, speed, and under ``montage`` the pictures of 50 cases, test split first.
    """
    recipe = Recipe(disease, cases, anatomies, lesions, seed)
    with tempfile.TemporaryDirectory() as folder:
        written = simulate_cohort(recipe, Path(folder) / "cohort", workers, progress=sys.stderr.isatty())
        listed = read_datalist(written.datalist)
        rows, shown = [], []
        for case in sorted(listed, key=lambda c: c["split"]):
            row, picture = measure_case(case, DISEASES[disease])
            rows.append(row)
            if len(shown) < 50:
                shown.append(picture)
    found = summarise(rows, DISEASES[disease])
    found["cases_in_splits"] = written.splits
    found["slices_per_second"] = cases / written.seconds
    found["slices_per_cpu_second"] = speed(recipe)
    found["workers"] = workers
    found["recipe"] = recipe.as_json()
    found["montage"] = shown
    return found


def speed(recipe: Recipe, slices: int = 40) -> float:
    """Slices per second of processor time, anatomy prepared, files written: what a core does that has no other work."""
    cases = plan_cases(recipe)[0]
    cases = [case for case in cases if case.anatomy == cases[0].anatomy and case.split == cases[0].split]
    library = None if recipe.lesions is None else open_library(recipe.lesions, default_cache())
    pool = LesionPool(library, () if library is None else tuple(range(len(library.names))))
    anatomy, pixel_mm = load_anatomy(cases[0].anatomy), DISEASES[recipe.disease].pixel_mm
    with tempfile.TemporaryDirectory() as folder:
        draw_case(recipe, cases[0], anatomy, pool)
        torch.set_num_threads(1)
        started = time.process_time()
        for number in range(slices):
            case = replace(cases[0], index=number)
            write_case(Path(folder), recipe, case, draw_case(recipe, case, anatomy, pool), pixel_mm)
        return slices / (time.process_time() - started)


def _three(values: list[float], digits: int = 0) -> str:
    return " / ".join(f"{v:.{digits}f}" for v in values)


#: Lines of the report: what a property of a cohort's summary is called, and how it is shown.
PROPERTIES: dict[str, Callable[[dict], str]] = {
    "cases (training / validation / testing)": lambda f: "{} ({training} / {validation} / {testing})".format(
        f["cases"], **f["cases_in_splits"]
    ),
    "pairs identical outside lesion and displaced tissue": lambda f: f"{f['identical']} of {f['cases']}",
    "pixels of the brain that are identical (median)": lambda f: f"{f['identical_share_median']:.0%}",
    "smallest Jacobian of any case (at 1.2 mm)": lambda f: f"{f['jacobian_min']:.3f}",
    "cases with a positive Jacobian everywhere": lambda f: f"{f['jacobian_positive']} of {f['cases']}",
    "slices whose ventricles change by more than 3 px": lambda f: str(f["ventricle_changed"]),
    "of these, sign as it should be (stroke +, tumour -)": lambda f: f"{f['ventricle_sign_right']:.1%}",
    "ventricle change in px at 128x128, quantiles 5 / 50 / 95 %": lambda f: _three(f["ventricle_change_px"]),
    "midline shift in mm, quantiles 5 / 50 / 95 %": lambda f: _three(f["midline_shift_mm"], 1),
    "lesion area in px, quantiles 25 / 50 / 75 %": lambda f: _three(f["area_px"]),
    "the same in the thesis's real slices": lambda f: THESIS[f["recipe"]["disease"]][0],
    "cases small / medium / large": lambda f: " / ".join(str(f["strata"][s]) for s in STRATA),
    "the same in the thesis": lambda f: THESIS[f["recipe"]["disease"]][1],
    "lateral ventricles without lesion, mm² in a slice that shows them, quantiles 5 / 50 / 95 %": lambda f: _three(
        f["prior_ventricles_mm2"]
    ),
    "the same in the label maps themselves": lambda f: _three(f["label_maps"]),
    "slices per second of processor time, one core, anatomy prepared": lambda f: f"{f['slices_per_cpu_second']:.1f}",
    "slices per second of this run, files written; opening each label map takes as long as seven slices": lambda f: (
        f"{f['slices_per_second']:.1f} ({f['workers']} workers)"
    ),
}

#: Of the thesis's real slices: quantiles 25 / 50 / 75 % of the lesion's area, and how many are small, medium, large.
THESIS = {"stroke": ("18.5 / - / 371", "111 / 221 / 111"), "tumor": ("135.75 / - / 397", "265 / 527 / 265")}


def text(found: dict[str, dict], real_areas: list[float] | None) -> str:
    """The report as Markdown."""
    shown = [{**f, "label_maps": real_areas} for f in found.values()]
    rows = [[label, *map(show, shown)] for label, show in PROPERTIES.items() if real_areas or "label maps" not in label]
    lines = ["# The simulated cohort, measured", "", f"{DISCLAIMER} Made by `make simulation-report`.", ""]
    lines += [*markdown_table(["property", *found], rows), ""]
    for name in found:
        lines += [
            f"100 simulated {name} slices, lesion in every second one ([picture](../images/simulation_{name}.png)).",
            "",
        ]
    return "\n".join(lines)


def main() -> int:
    """Command line of the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--anatomies", default=None, help="folder; default: the embedded template")
    parser.add_argument("--lesions", default=None, help="folder of stroke masks; default: drawn lesions")
    parser.add_argument("--cases", type=int, default=500)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--docs", default="docs", help="gets results/simulation.{md,json} and images/simulation_*.png")
    arguments = parser.parse_args()
    docs, found = user_path(arguments.docs), {}
    with exit_on_bad_input():
        for name, least, most in (("cases", 1, 10**7), ("workers", 1, 256), ("seed", 0, 2**63 - 1)):
            require_whole(name, getattr(arguments, name), least, most=most)
        for folder in ("results", "images"):
            (docs / folder).mkdir(parents=True, exist_ok=True)
        for disease in DISEASES:
            lesions = arguments.lesions if disease == "stroke" else None  # stroke masks have a stroke's shapes
            found[disease] = report(
                disease, arguments.cases, arguments.anatomies, lesions, arguments.workers, arguments.seed
            )
            save_montage(found[disease].pop("montage"), docs / "images" / f"simulation_{disease}.png", disease)
        real = ventricle_areas(arguments.anatomies)
    markdown = text(found, real)
    write_text(docs / "results" / "simulation.md", markdown)
    content = {**found, "label_maps_ventricles_mm2": real, "versions": versions(), "synthetic": True}
    write_json(docs / "results" / "simulation.json", content)
    print(markdown)
    holds = all(
        f["identical"] == f["cases"] == f["jacobian_positive"] and f["ventricle_sign_right"] >= 0.95
        for f in found.values()
    )
    return 0 if holds else 1


if __name__ == "__main__":
    run_program(lambda: sys.exit(main()))
