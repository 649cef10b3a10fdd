# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""
The floor that shipped weights must reach, on held-out simulated pairs.

    python -m studies.weight_check --bundle stroke
    python -m studies.weight_check --bundle tumor --condition regions

Prints how much of the true change the edits hold inside p (floor: 0.6, or nine tenths of what a regression reaches that
is told as much, if that is less: no model can draw what its condition leaves open as the truth has it), the mean
gradient across M's edge relative to the unedited scan's (ceiling: 1.5) and, for tumours with a necrotic core, in how
many the core is where it shall be (floor with ``--condition regions``: 0.9); writes all with every case as JSON and a
picture; exit code 1 if missed.
"""

from __future__ import annotations

import argparse
import sys
import time

import numpy as np
import torch

from mededit_monai.core.errors import InputError, exit_on_bad_input, require_whole
from mededit_monai.core.paths import user_path
from mededit_monai.core.program import run_program
from mededit_monai.io.atomic import write_json
from mededit_monai.io.held import held_folder
from mededit_monai.io.outputs import OutputFolder
from mededit_monai.metrics import edge_gradient
from mededit_monai.metrics.contrast import core_contrast, lesion_contrast, told_contrast
from mededit_monai.reports.sheet import save_sheet
from mededit_monai.sampling.noise import case_seed
from mededit_monai.simulation.anatomies import list_anatomies, load_anatomy
from mededit_monai.simulation.draw_case import LesionPool, draw_case
from mededit_monai.simulation.plan import Case, Recipe
from mededit_monai.space.conditions import condition_channels
from mededit_monai.space.intensity import to_model_range, to_unit_range
from mededit_monai.workflows import bundle_content

CONTRAST_FLOOR, GRADIENT_CEILING, CORE_FLOOR = 0.6, 1.5, 0.9

#: Of what a regression reaches that is told as much as the network.
TOLD_SHARE = 0.9

#: A core counts as there with half of the true difference between rim and core.
CORE_SHARE = 0.5


def held_out_pairs(disease: str, cases: int, seed: int = 0, anatomies: str | None = None) -> list[dict]:
    """
    Pairs that no training has seen: drawn lesions in persons of the split ``check``.

    Args:
        anatomies: folder; None for the template. Label maps of the training split must not lie in it.
    """
    recipe, names = Recipe(disease, cases, seed=seed), list_anatomies(anatomies)
    return [
        draw_case(recipe, Case("check", k, names[k % len(names)]), load_anatomy(names[k % len(names)]), LesionPool())
        for k in range(cases)
    ]


def check_weights(bundle: str, cases: int = 20, seed: int = 0, anatomies: str | None = None, **options) -> dict:
    """
    Edit held-out simulated priors, slices, with a bundle's default method and measure floor figures.

    Args:
        options: of the bundle's ``inference.yaml``: ``weights``, ``steps``, ``condition``, …

    Returns:
        ``contrast``, ``told_contrast`` (of a regression), ``gradient_ratio``, ``core_present`` (None without cores),
        ``missed`` (the floors that were), per-case figures under ``cases``, and the stacks ``prior``, ``truth``,
        ``edit`` (NxHxW in [0, 1]).

    Raises:
        InputError: bad input, or edits that are not finite.
    """
    disease, condition, network, editor = bundle_content(
        bundle, ("disease", "condition", "network", "inferer"), spatial_dims=2, **options
    )
    pairs = held_out_pairs(disease, cases, seed, anatomies)
    stack = {k: np.stack([pair[k] for pair in pairs]).astype(np.float32) for k in ("prior", "image", "brain")}
    masks = np.stack([pair.get("regions", pair["pathology"]) for pair in pairs])
    batch = {k: torch.from_numpy(v)[:, None] for k, v in stack.items()}
    pathology = torch.stack([condition_channels(torch.from_numpy(m)[None], condition) for m in masks])
    seeds = [case_seed(seed, f"check_{k}") for k in range(cases)]
    started = time.perf_counter()
    made = editor(to_model_range(batch["prior"]), network.eval(), batch["brain"], pathology, seeds=seeds)
    seconds = (time.perf_counter() - started) / cases
    if not torch.isfinite(made.image).all():
        raise InputError("the network gave NaN or infinite values in its edits; check --weights and --steps.")
    edit = to_unit_range(made.image)[:, 0].numpy()
    rows = []
    for k in range(cases):
        prior, truth, edge, brain = stack["prior"][k], stack["image"][k], made.region[k, 0].numpy(), stack["brain"][k]
        row = {"case": k, "area_px": int((masks[k] > 0).sum())}
        row["contrast"] = lesion_contrast(prior, edit[k], truth, masks[k] > 0)
        row |= {"edge_gradient": edge_gradient(edit[k], edge, brain)}
        row |= {"prior_edge_gradient": edge_gradient(prior, edge, brain)}
        row |= {"core": core_contrast(edit[k], masks[k]), "true_core": core_contrast(truth, masks[k])}
        rows.append(row)
    cores = [row["core"] >= CORE_SHARE * row["true_core"] for row in rows if (row["true_core"] or 0) > 0]
    result = {
        "bundle": bundle,
        "disease": disease,
        "condition": condition,
        "synthetic": True,
        "nfe": made.evaluations,
        "seconds_per_edit": seconds,
        "contrast": _mean(rows, "contrast"),
        "told_contrast": told_contrast(stack["prior"], stack["image"], pathology.numpy(), masks),
        "gradient_ratio": _mean(rows, "edge_gradient") / _mean(rows, "prior_edge_gradient"),
        "core_present": float(np.mean(cores)) if cores else None,
        "cores": len(cores),
        "cases": rows,
        "prior": stack["prior"],
        "truth": stack["image"],
        "edit": edit,
    }
    return result | {"missed": missed_floors(result)}


def contrast_floor(told: float) -> float:
    """Least contrast of weights whose condition tells so much (see :func:`told_contrast`)."""
    return min(CONTRAST_FLOOR, TOLD_SHARE * told)


def missed_floors(result: dict) -> list[str]:
    """Names of the figures that miss their floor or ceiling."""
    floors = {"contrast": contrast_floor(result["told_contrast"])}
    if result["condition"] == "regions" and result["core_present"] is not None:
        floors["core_present"] = CORE_FLOOR
    missed = [name for name, floor in floors.items() if not result[name] >= floor]
    return missed + (["gradient_ratio"] if not result["gradient_ratio"] <= GRADIENT_CEILING else [])


def _mean(rows: list[dict], key: str) -> float:
    return float(np.nanmean([row[key] for row in rows]))


def main() -> int:
    """Command line of the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", default="stroke")
    parser.add_argument("--condition", default="mask", help="mask, box or regions")
    parser.add_argument("--weights", default=None, help="other weights than the bundle's")
    parser.add_argument("--anatomies", default=None, help="folder of held-out label maps; default: the template")
    parser.add_argument("--cases", type=int, default=20)
    parser.add_argument("--method", default=None, help="default: the bundle's")
    parser.add_argument("--steps", type=int, default=None, help="default: the method's")
    parser.add_argument("--output_dir", default="out/weight_check")
    given = parser.parse_args()
    options = {"condition": given.condition}
    given_options = {name: getattr(given, name) for name in ("method", "weights", "steps")}
    options |= {name: value for name, value in given_options.items() if value is not None}
    folder = user_path(given.output_dir)
    with exit_on_bad_input():
        require_whole("cases", given.cases, 1, most=10**5)
        own = OutputFolder(folder, [given.weights and user_path(given.weights)])
        names = ("sheet.png", "weight_check.json")
        own.require_free(names)
        result = check_weights(given.bundle, given.cases, anatomies=given.anatomies, **options)
        with held_folder(folder, names, own.inputs):
            stacks = {name: result.pop(name) for name in ("prior", "truth", "edit")}
            save_sheet(stacks, folder / "sheet.png", "held-out simulated cases")
            write_json(folder / "weight_check.json", result, indent=2)
    core = result["core_present"]
    told = result["told_contrast"]
    print(
        f"of the true change inside p: {result['contrast']:.2f} (floor {contrast_floor(told):.2f}; a regression that "
        f"is told as much: {told:.2f})"
    )
    print(
        f"gradient across M's edge: {result['gradient_ratio']:.2f} of the unedited scan's (ceiling {GRADIENT_CEILING})"
    )
    if core is not None:
        print(f"necrotic core present: {core:.0%} of {result['cores']} edits that ask for one")
    print(f"{result['nfe']} evaluations, {result['seconds_per_edit']:.1f} s an edit; look at {folder / 'sheet.png'}")
    print(f"missed: {', '.join(result['missed']) or 'nothing'}")
    return 1 if result["missed"] else 0


if __name__ == "__main__":
    run_program(lambda: sys.exit(main()))
