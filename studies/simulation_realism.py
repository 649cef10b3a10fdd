# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""
Can a classifier tell simulated lesion-free slices from slices of real scans?

    python -m studies.simulation_realism --scans DIR --anatomies DIR

Real scans: T1 NIfTI files, skull-stripped or with ``X_brain.nii.gz`` beside them. Both kinds go through the model's
geometry (128x128). Features of every slice: intensity quantiles and histogram, gradient sizes, radial power spectrum,
local noise. Cross-validated by scan and anatomy: no scan is in training and test, so at least two of each are needed.
AUC 0.5 = cannot tell, 1 = always.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np
from scipy import ndimage

from mededit_monai.core.errors import InputError, exit_on_bad_input, require_whole
from mededit_monai.core.paths import user_path
from mededit_monai.core.program import run_program
from mededit_monai.diseases import DISEASES
from mededit_monai.io.nifti import binary_mask, read_volume, require_same_grid
from mededit_monai.io.outputs import require_writable, write_output
from mededit_monai.prepare.brain import brain_from_background
from mededit_monai.simulation.anatomies import list_anatomies, stem
from mededit_monai.simulation.draws import Draws
from mededit_monai.space.intensity import intensity_ceiling, to_unit
from mededit_monai.space.model_space import ModelSpace, shrunk

#: Slices of a real scan, as heights above the brain's lower end in shares of its height.
HEIGHTS = (0.42, 0.85)


def real_slices(path: Path, count: int, window: int = 233, percentile: float = 98.0) -> tuple[np.ndarray, np.ndarray]:
    """
    Axial slices of a real scan in the model's geometry.

    Returns:
        slices Nx128x128 in [0, 1] and brain masks Nx128x128 bool.
    """
    volume = read_volume(path)
    mask = path.with_name(stem(path) + "_brain.nii.gz")
    if mask.is_file():
        given = read_volume(mask)
        require_same_grid(given, volume)
        brain = binary_mask(given)
    else:
        brain = brain_from_background(volume)
    space = ModelSpace.around_brain(brain, volume.affine, window)
    levels = np.flatnonzero(brain.any(axis=(0, 1)))
    low, high = (levels[0] + share * (levels[-1] - levels[0]) for share in HEIGHTS)
    images, masks = [], []
    for z in np.unique(np.linspace(low, high, count).round().astype(int)):
        inside = space.to_window(brain[:, :, z].astype(np.float32), order=0) > 0
        plane = space.to_window(volume.data[:, :, z] * brain[:, :, z]) * inside
        masks.append(shrunk(inside.astype(np.float32)) >= 0.5)
        images.append(shrunk(to_unit(plane, intensity_ceiling(plane, percentile))) * masks[-1])
    return np.stack(images), np.stack(masks)


def simulated_slices(anatomy: str, count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Lesion-free slices drawn from one anatomy, with brain masks."""
    from mededit_monai.simulation.anatomies import load_anatomy
    from mededit_monai.simulation.pair import simulate_pair

    disease, prepared = DISEASES["stroke"], load_anatomy(anatomy)
    images, masks, number = [], [], 0
    while len(images) < count:
        draws = Draws(seed, f"realism/{prepared.name}", number)
        number += 1
        height = float(draws.of("choice").uniform(*disease.heights))
        pair = simulate_pair(disease, prepared, height, lambda canvas, r: disease.draw_lesion(canvas, 6.0, r), draws)
        if pair is not None:
            images.append(pair["prior"])
            masks.append(pair["brain"])
    return np.stack(images), np.stack(masks)


def features(image: np.ndarray, brain: np.ndarray) -> dict[str, float]:
    """Numbers that describe a slice's intensities, edges, texture and noise (not its anatomy)."""
    inner = ndimage.binary_erosion(brain, iterations=3)
    values = image[inner] if inner.sum() > 50 else image[brain]
    found = {f"quantile_{q:02d}": float(np.quantile(values, q / 100)) for q in (2, 10, 25, 50, 75, 90, 98)}
    histogram = np.histogram(values, bins=12, range=(0, 1))[0] / max(len(values), 1)
    found |= {f"histogram_{k:02d}": float(v) for k, v in enumerate(histogram)}
    slope = np.hypot(*np.gradient(image))[inner]
    found |= {f"gradient_{q}": float(np.quantile(slope, q / 100)) for q in (25, 50, 75, 95)}
    for scale in (0.7, 1.5, 3.0):
        detail = (image - ndimage.gaussian_filter(image, scale))[inner]
        found[f"detail_{scale}"] = float(detail.std())
        found[f"detail_{scale}_kurtosis"] = float(((detail / max(detail.std(), 1e-6)) ** 4).mean())
    laplace = ndimage.laplace(image)[inner]
    found["noise"] = float(np.median(np.abs(laplace)) / 0.6745)
    spectrum = np.abs(np.fft.fftshift(np.fft.fft2((image - values.mean()) * inner))) ** 2
    radius = np.hypot(*np.meshgrid(np.arange(-64, 64), np.arange(-64, 64)))
    bands = [np.log(spectrum[(radius >= a) & (radius < b)].mean() + 1e-6) for a, b in zip(_BANDS, _BANDS[1:])]
    found |= {f"spectrum_{k}": float(v - bands[0]) for k, v in enumerate(bands) if k}
    rim = brain & ~inner
    found["rim_mean"], found["rim_spread"] = float(image[rim].mean()), float(image[rim].std())
    return found


_BANDS = (1, 4, 8, 14, 22, 32, 46, 64)


def measure(scans: list[Path], anatomies: list[str], per_scan: int, per_anatomy: int, seed: int = 0) -> dict:
    """
    Cross-validated AUC and what gives the simulation away.

    Each fold leaves out one real scan and a share of the anatomies. The pooled AUC compares all left-out slices; one
    slice of each kind is drawn as often whatever the counts (class weights).
    """
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    rows, truth, group = [], [], []
    for path in scans:
        for image, brain in zip(*real_slices(path, per_scan)):
            rows.append(features(image, brain))
            truth.append(1)
            group.append(stem(path))
    for anatomy in anatomies:
        for image, brain in zip(*simulated_slices(anatomy, per_anatomy, seed)):
            rows.append(features(image, brain))
            truth.append(0)
            group.append(stem(Path(anatomy)))
    names = list(rows[0])
    table = np.array([[row[n] for n in names] for row in rows])
    truth, group = np.array(truth), np.array(group)
    real = sorted({g for g, t in zip(group, truth) if t})
    simulated = sorted({g for g, t in zip(group, truth) if not t})
    result: dict = {
        "real_scans": real,
        "anatomies": len(simulated),
        "slices": [int(truth.sum()), int((1 - truth).sum())],
    }
    result["auc"] = {}
    for label, make in {
        "logistic regression": lambda: make_pipeline(
            StandardScaler(), LogisticRegression(C=0.1, max_iter=2000, class_weight="balanced")
        ),
        "random forest": lambda: RandomForestClassifier(
            300, min_samples_leaf=3, class_weight="balanced_subsample", random_state=seed, n_jobs=1
        ),
    }.items():
        scores = np.full(len(truth), np.nan)
        for fold, scan in enumerate(real):
            out = {scan, *simulated[fold :: len(real)]}
            test = np.isin(group, list(out))
            model = make().fit(table[~test], truth[~test])
            scores[test] = model.predict_proba(table[test])[:, 1]
        by_scan = {s: float(roc_auc_score(truth[_of(group, s, truth)], scores[_of(group, s, truth)])) for s in real}
        result["auc"][label] = {"pooled": float(roc_auc_score(truth, scores)), "by_scan": by_scan}
    single = {n: float(roc_auc_score(truth, table[:, k])) for k, n in enumerate(names)}
    single = {n: max(v, 1 - v) * (1 if v >= 0.5 else -1) for n, v in single.items()}
    result["giveaways"] = dict(sorted(single.items(), key=lambda item: -abs(item[1]))[:10])
    result["means"] = {
        n: [float(table[truth == 1, k].mean()), float(table[truth == 0, k].mean())]
        for k, n in enumerate(names)
        if n in result["giveaways"]
    }
    return result


def _of(group: np.ndarray, scan: str, truth: np.ndarray) -> np.ndarray:
    return (group == scan) | (truth == 0)


def main() -> int:
    """Command line of the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scans", required=True, help="folder of real T1 scans")
    parser.add_argument("--anatomies", default=None, help="folder of label maps, at least 2 (the template alone is 1)")
    parser.add_argument("--per_scan", type=int, default=40)
    parser.add_argument("--per_anatomy", type=int, default=16)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", default=None, help="JSON to write")
    parser.add_argument("--overwrite", action="store_true", help="replace a file that this program wrote")
    arguments = parser.parse_args()
    output = None if arguments.output is None else user_path(arguments.output)
    with exit_on_bad_input():
        for name, least in (("per_scan", 1), ("per_anatomy", 1), ("seed", 0)):
            require_whole(name, getattr(arguments, name), least, most=10**6)
        if output is not None:
            require_writable(output, arguments.overwrite)
        scans = [Path(p) for p in list_anatomies(user_path(arguments.scans))]
        if len(scans) < 2:
            raise InputError(f"{arguments.scans}: holds {len(scans)} scan, wanted at least 2 to leave one out.")
        anatomies = list_anatomies(arguments.anatomies)
        if len(anatomies) < 2:
            what = "the embedded template is" if arguments.anatomies is None else f"{arguments.anatomies} holds"
            raise InputError(f"--anatomies: {what} 1, wanted at least 2 to leave one out; give a folder of label maps.")
        found = measure(scans, anatomies, arguments.per_scan, arguments.per_anatomy, arguments.seed)
        text = json.dumps(found, indent=1)
        if output is not None:
            write_output(output, f"{text}\n".encode(), arguments.overwrite, scans)
    print(text)
    return 0


if __name__ == "__main__":
    run_program(lambda: sys.exit(main()))
