# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""
The floor that shipped weights must reach, on held-out simulated pairs.

    python -m mededit_monai.reports.weight_check --bundle stroke

Prints the mean intensity drop inside p relative to the true lesion's (floor: 0.6) and the mean gradient across M's edge
relative to the unedited scan's (ceiling: 1.5); writes both with every case as JSON and a picture; exit code 1 if
missed.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np
import torch

from mededit_monai.inferers import case_seed
from mededit_monai.metrics import edge_gradient, intensity_drop
from mededit_monai.reports.sheet import save_sheet
from mededit_monai.simulation.anatomy import icbm152
from mededit_monai.simulation.cohort import case_rng, simulate_stroke
from mededit_monai.transforms.intensity import to_model_range, to_unit_range
from mededit_monai.workflows import bundle_content

DROP_FLOOR, GRADIENT_CEILING = 0.6, 1.5


def check_weights(bundle: str, cases: int = 20, seed: int = 0, weights: str | None = None, steps: int = 50) -> dict:
    """
    Edit held-out simulated priors with a bundle's default method and measure floor figures.

    Args:
        cases, seed: the split is named ``check``, so no training case is among them.

    Returns:
        ``drop_ratio`` and ``gradient_ratio`` (means over cases), per-case figures under ``cases``, and the stacks
        ``prior``, ``truth``, ``edit`` (NxHxW in [0, 1]).
    """
    overrides = {"steps": steps} | ({"weights": weights} if weights else {})
    network, inferer = bundle_content(bundle, ("network", "inferer"), **overrides)
    pairs = [simulate_stroke(icbm152(), case_rng(seed, "check", k)) for k in range(cases)]
    stack = {
        k: np.stack([pair[k] for pair in pairs]).astype(np.float32) for k in ("prior", "image", "brain", "pathology")
    }
    batch = {k: torch.from_numpy(v)[:, None] for k, v in stack.items()}
    region = inferer.region(batch["brain"], batch["pathology"])
    seeds = [case_seed(seed, f"check_{k}") for k in range(cases)]
    started = time.perf_counter()
    edited = inferer(to_model_range(batch["prior"]), network.eval(), batch["brain"], batch["pathology"], seeds=seeds)
    seconds = (time.perf_counter() - started) / cases
    edit = to_unit_range(edited)[:, 0].numpy()
    rows = []
    for k in range(cases):
        prior, truth, lesion = stack["prior"][k], stack["image"][k], stack["pathology"][k]
        edge, brain = region[k, 0].numpy(), stack["brain"][k]
        rows.append(
            {
                "case": k,
                "area_px": int(lesion.sum()),
                "drop": intensity_drop(prior, edit[k], lesion),
                "true_drop": intensity_drop(prior, truth, lesion),
                "edge_gradient": edge_gradient(edit[k], edge, brain),
                "prior_edge_gradient": edge_gradient(prior, edge, brain),
            }
        )
    mean = {key: float(np.nanmean([row[key] for row in rows])) for key in rows[0]}
    return {
        "bundle": bundle,
        "synthetic": True,
        "nfe": inferer.nfe,
        "seconds_per_edit": seconds,
        "drop_ratio": mean["drop"] / mean["true_drop"],
        "gradient_ratio": mean["edge_gradient"] / mean["prior_edge_gradient"],
        "cases": rows,
        "prior": stack["prior"],
        "truth": stack["image"],
        "edit": edit,
    }


def main() -> int:
    """Command line of the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", default="stroke")
    parser.add_argument("--weights", default=None, help="other weights than the bundle's")
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--output_dir", default="out/weight_check")
    arguments = parser.parse_args()
    result = check_weights(arguments.bundle, weights=arguments.weights, steps=arguments.steps)
    folder = Path(arguments.output_dir)
    folder.mkdir(parents=True, exist_ok=True)
    stacks = {name: result.pop(name) for name in ("prior", "truth", "edit")}
    save_sheet(stacks, folder / "sheet.png", "held-out simulated cases")
    (folder / "weight_check.json").write_text(json.dumps(result, indent=2) + "\n")
    drop, gradient = result["drop_ratio"], result["gradient_ratio"]
    print(f"intensity drop inside p: {drop:.2f} of the true lesion's (floor {DROP_FLOOR})")
    print(f"gradient across M's edge: {gradient:.2f} of the unedited scan's (ceiling {GRADIENT_CEILING})")
    print(f"{result['nfe']} evaluations, {result['seconds_per_edit']:.1f} s an edit; look at {folder / 'sheet.png'}")
    return 0 if drop >= DROP_FLOOR and gradient <= GRADIENT_CEILING else 1


if __name__ == "__main__":
    sys.exit(main())
