# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""
Are drawn lesions as rich in shape as real ones? Masks of two cohorts of volumes, matched by size.

    mededit simulate --disease stroke --spatial_dims 3 --counts 1 1 80 --anatomies DIR -o out/drawn
    mededit simulate --disease stroke --spatial_dims 3 --counts 1 1 200 --anatomies DIR --lesions DIR -o out/real
    python -m studies.lesion_shapes --drawn out/drawn --real out/real

Every drawn mask goes with the real one that is nearest in volume. Prints medians and quartiles of what describes the
shapes, the AUC of each by itself, and the cross-validated AUC of classifiers on all: 0.5 = cannot tell, 1 = always.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy import ndimage

from mededit_monai.core.errors import InputError, exit_on_bad_input
from mededit_monai.core.paths import user_path
from mededit_monai.core.program import run_program
from mededit_monai.datasets.evaluation import cohort_facts
from mededit_monai.diseases import DISEASES
from mededit_monai.io.datalist import read_datalist
from mededit_monai.io.nifti import read_array
from mededit_monai.io.outputs import require_writable, write_output
from mededit_monai.reports.plain_text import markdown_table
from mededit_monai.space.shapes import around

#: Fewest voxels of a mask that has a shape.
SMALLEST = 60

#: What is looked at, and what it means.
FEATURES = {
    "pieces": "connected pieces of at least 9 voxels",
    "largest": "share of the largest piece",
    "sphericity": "surface of the ball of its volume over its own; 1 for a ball",
    "filling": "share of its bounding box along its principal axes",
    "flatness": "shortest over longest principal axis",
    "thickness": "largest depth over the radius of the ball of its volume",
    "roughness": "share of the surface that smoothing by 2 voxels takes away",
    "holes": "share of the filled mask that is hole",
}


def shape_features(mask: np.ndarray) -> dict[str, float]:
    """
    Describe a mask's shape, whatever its size and place.

    Args:
        mask: bool XxYxZ on a grid of equal steps, not empty.

    Returns:
        a number for each of :data:`FEATURES`.
    """
    mask = np.pad(mask[around(mask, 0)], 6)
    labels, _ = ndimage.label(mask, np.ones((3, 3, 3)))
    sizes = np.bincount(labels.ravel())[1:]
    volume, radius = int(mask.sum()), (3 * mask.sum() / (4 * np.pi)) ** (1 / 3)
    points = np.argwhere(mask).astype(np.float64)
    points -= points.mean(axis=0)
    lengths, axes = np.linalg.eigh(np.cov(points.T) + np.eye(3) / 12)  # a voxel is not a point
    box = np.ptp(points @ axes, axis=0) + 1
    filled = ndimage.binary_fill_holes(mask)
    surface, smooth = _surface(mask, 1.0), _surface(mask, 2.0)
    return {
        "pieces": float((sizes >= 9).sum()),
        "largest": float(sizes.max() / volume),
        "sphericity": float(4 * np.pi * radius**2 / surface),
        "filling": float(volume / box.prod()),
        "flatness": float(np.sqrt(lengths[0] / lengths[-1])),
        "thickness": float(ndimage.distance_transform_edt(mask).max() / radius),
        "roughness": float(1 - smooth / surface),
        "holes": float(1 - volume / filled.sum()),
    }


def _surface(mask: np.ndarray, sigma: float) -> float:
    """Surface in voxel faces of a mask blurred by so many voxels: the integral of the gradient's length."""
    soft = ndimage.gaussian_filter(mask.astype(np.float32), sigma)
    return float(np.sqrt(sum(slope**2 for slope in np.gradient(soft))).sum())


def matched(drawn: Sequence[np.ndarray], real: Sequence[np.ndarray]) -> list[int]:
    """For every drawn mask, from the largest on, the place of the real one nearest in volume that is not taken yet."""
    sizes, free, found = np.log([mask.sum() for mask in real]), set(range(len(real))), {}
    for k in sorted(range(len(drawn)), key=lambda k: -drawn[k].sum()):
        found[k] = min(free, key=lambda place: abs(sizes[place] - np.log(drawn[k].sum())))
        free.remove(found[k])
    return [found[k] for k in range(len(drawn))]


def separability(drawn: np.ndarray, real: np.ndarray, seed: int = 0) -> dict[str, float]:
    """Cross-validated AUC of two classifiers on features NxF of as many drawn and real masks."""
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import GroupKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    table, truth = np.concatenate([drawn, real]), np.repeat([0, 1], len(drawn))
    groups = np.tile(np.arange(len(drawn)), 2)  # a match stays together
    models = {
        "logistic regression": make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000)),
        "random forest": RandomForestClassifier(300, min_samples_leaf=3, random_state=seed, n_jobs=1),
    }
    return {
        name: float(
            roc_auc_score(
                truth,
                cross_val_predict(model, table, truth, groups=groups, cv=GroupKFold(5), method="predict_proba")[:, 1],
            )
        )
        for name, model in models.items()
    }


def compare(drawn: str, real: str) -> str:
    """
    The table of both cohorts' testing masks.

    Raises:
        InputError: a cohort of slices, or too few masks.
    """
    masks, steps = {}, {}
    for word, cohort in (("drawn", drawn), ("real", real)):
        facts = cohort_facts(cohort)
        if facts["spatial_dims"] != 3:
            raise InputError(f"--{word}: {cohort} holds slices, wanted volumes (--spatial_dims 3).")
        steps[word] = DISEASES[facts["disease"]].pixel_mm
        cases = read_datalist(user_path(cohort) / "datalist.json", "testing")
        masks[word] = [mask for case in cases if (mask := read_array(case["pathology"]) > 0).sum() >= SMALLEST]
    if not 10 <= len(masks["drawn"]) <= len(masks["real"]):
        raise InputError(
            f"--drawn: {len(masks['drawn'])} masks of at least {SMALLEST} voxels and {len(masks['real'])} real ones, "
            f"wanted at least 10, and no fewer real ones."
        )
    pairs = matched(masks["drawn"], masks["real"])
    tables = {
        "drawn": [shape_features(mask) for mask in masks["drawn"]],
        "real": [shape_features(masks["real"][k]) for k in pairs],
    }
    from sklearn.metrics import roc_auc_score

    rows = []
    for name, told in FEATURES.items():
        values = {word: np.array([row[name] for row in table]) for word, table in tables.items()}
        auc = roc_auc_score(np.repeat([0, 1], len(pairs)), np.concatenate([values["drawn"], values["real"]]))
        shown = ["{1:.2f} ({0:.2f} to {2:.2f})".format(*np.percentile(values[w], (25, 50, 75))) for w in tables]
        rows.append([told, *shown, f"{max(auc, 1 - auc):.2f}"])  # whichever way it tells
    found = separability(*(np.array([list(row.values()) for row in tables[word]]) for word in ("drawn", "real")))
    size = np.percentile([mask.sum() * steps["drawn"] ** 3 / 1000 for mask in masks["drawn"]], (5, 50, 95))
    return "\n".join(
        [
            f"{len(pairs)} drawn masks ({size[0]:.1f}, {size[1]:.1f}, {size[2]:.1f} ml: 5, 50, 95 %), each with the "
            f"real one nearest in volume. Told apart with an AUC of "
            + " and ".join(f"{value:.2f} ({name})" for name, value in found.items())
            + ".",
            "",
            *markdown_table(["shape", "drawn: median (quartiles)", "real", "AUC of it alone"], rows),
            "",
        ]
    )


def main() -> int:
    """Command line of the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--drawn", required=True, help="cohort of volumes with drawn lesions")
    parser.add_argument("--real", required=True, help="cohort of volumes with real masks")
    parser.add_argument("--output", default=None, help="Markdown file to write")
    parser.add_argument("--overwrite", action="store_true", help="replace a file that this program wrote")
    given = parser.parse_args()
    output = None if given.output is None else user_path(given.output)
    with exit_on_bad_input():
        if output is not None:
            require_writable(output, given.overwrite)
        text = compare(given.drawn, given.real)
        if output is not None:
            write_output(Path(output), text.encode(), overwrite=True)
        print(text)
    return 0


if __name__ == "__main__":
    run_program(lambda: sys.exit(main()))
