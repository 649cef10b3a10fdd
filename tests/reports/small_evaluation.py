# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""The folder of an evaluation with 12 cases, 3 methods, k and U, and numbers that were chosen."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import nibabel as nib
import numpy as np

CASES = [f"case_{k:02d}" for k in range(12)]
METHODS = ("sdedit", "palette", "mededit")
LABELS = {"sdedit": "SDEdit", "palette": "Palette", "mededit": "MedEdit"}
RINGS = ("distance_change_0_3mm", "distance_change_3_6mm", "distance_change_60_on")

#: Dice of case k by method; case 0 is the best of MedEdit, case 11 the worst.
DICE = {"sdedit": 0.40, "palette": 0.20, "mededit": 0.90}


def figure(value, low=None, high=None, cases=12):
    return {"value": value, "low": low, "high": high, "n_cases": cases, "n_groups": 4}


def table(number, kind, rows, **more):
    columns = [
        {"key": "fid", "label": "FID", "better": "lower", "pairing": "thesis", "note": "Biased."},
        {"key": "dice", "label": "Dice", "better": "higher", "pairing": "thesis", "note": ""},
        {"key": "zone_error", "label": "zone error", "better": "lower", "pairing": "paired", "note": None},
    ]
    facts = {
        "bundle": "stroke",
        "condition": "mask",
        "preset": "quick",
        "extractors": {},
        "command": "mededit evaluate",
    }
    return {"table": number, "title": f"Stroke {number}", "kind": kind, "columns": columns, "rows": rows} | facts | more


def row(key, settings, figures, published=None, label=None):
    return {
        "row": key,
        "label": label or LABELS.get(key.removeprefix("stroke_mask_"), key),
        "settings": settings,
        "nfe": 197,
        "seconds": 4.5,
        "figures": figures,
        "published": published or {},
    }


def write_slice(path: Path, plane: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(plane.astype(np.float32)[..., None], np.eye(4)), path)


def write_cases(folder: Path) -> None:
    """Square heads of 20 pixels in 32x32 with a lesion of 4x4; the truth is the prior plus 0.1."""
    head = np.zeros((32, 32))
    head[6:26, 6:26] = 0.5
    lesion = np.zeros((32, 32))
    lesion[10:14, 10:14] = 1
    planes = {"prior": head, "prior_brain": head > 0, "image": head + 0.1 * (head > 0), "pathology": lesion}
    for name, plane in planes.items():
        write_slice(folder / "slices" / f"{name}.nii", plane)
    for pairing in ("thesis", "paired"):
        entry = {name: f"slices/{name}.nii" for name in planes if name != "image" or pairing == "paired"}
        cases = [{"case_id": name, "stratum": "medium", **entry} for name in CASES]
        (folder / f"triplets_{pairing}.json").write_text(json.dumps({"pairing": pairing, "testing": cases}))


def metrics_line(key, pairing, k):
    method = key.removeprefix("stroke_mask_").split("_")[0]
    line = {"row": key, "label": LABELS[method], "method": method, "condition": "mask", "pairing": pairing}
    line |= {"case_id": CASES[k], "patient": "", "anatomy": f"a{k % 4}", "stratum": "medium", "nfe": 197, "seconds": 4}
    line |= {"lesion_area": 53 + k, "adherence_dice": round(DICE[method] - 0.01 * k, 3)}
    line |= {name: 0.1 / (1 + place) for place, name in enumerate(RINGS)}
    if pairing == "paired":
        predicted = {"sdedit": 0.0, "palette": -5.0 * k, "mededit": 3 + 5.0 * k}[method]
        line |= {"truth_error_zone": 0.05 + 0.01 * ((k * 5) % 12)}
        line |= {"against_truth_ventricle_change_predicted": predicted}
        line |= {"against_truth_ventricle_change_true": 10.0 * k, "against_truth_lesion_size": 53 + (k * 7) % 12}
    if k == 3:  # could not be measured
        line["adherence_dice"] = line[RINGS[0]] = ""
    return line


def write_evaluation(folder: Path) -> None:
    """All files of the folder; Palette's best edit is missing, and case 6 at U = 2."""
    write_cases(folder)
    keys = {f"stroke_mask_{m}": ("thesis", "paired") for m in METHODS}
    keys |= {f"stroke_mask_mededit_u{u}": ("thesis",) for u in (1, 2, 3)}
    lines = [metrics_line(key, pairing, k) for key, pairings in keys.items() for pairing in pairings for k in range(12)]
    with open(folder / "metrics.csv", "w", newline="") as stream:
        writer = csv.DictWriter(stream, list(dict.fromkeys(name for line in lines for name in line)))
        writer.writeheader()
        writer.writerows(lines)
    for line in lines:
        if (line["row"], line["case_id"]) == ("stroke_mask_palette", CASES[0]):
            continue  # Palette's best edit is missing
        if (line["row"], line["case_id"]) == ("stroke_mask_mededit_u2", CASES[6]):
            continue
        steps = int(line["row"][-1]) if line["row"][-2] == "u" else 4
        place = folder / "edits" / line["row"] / line["pairing"] / f"{line['case_id']}.npz"
        place.parent.mkdir(parents=True, exist_ok=True)
        np.savez(place, edit=np.full((32, 32), 0.2 * steps, dtype=np.float32), nfe=197, seconds=4.0)
    write_tables(folder)
    facts = {
        "synthetic": True,
        "command": "mededit evaluate --cohort COHORT --table 5.1",
        "versions": {"monai": "1.6.1"},
        "cohort": {"name": "twelve heads", "recipe": {"disease": "stroke", "seed": 5}, "datalist_sha256": "ab" * 32},
        "preset": "quick",
        "seed": 7,
        "judge": {"name": "small judge", "disease": "stroke", "ceiling": {"lesion": 0.8125, "ventricles": None}},
        "extractors": [{"name": "judge's encoder"}],
        "pairings": ["thesis", "paired"],
    }
    (folder / "evaluation.json").write_text(json.dumps(facts))


def write_tables(folder: Path) -> None:
    key = "stroke_mask_{}".format
    methods = [
        row(
            key("sdedit"),
            {"dilation": 25},
            {"fid": figure(24.0, 23, 25), "dice": figure(0.60, 0.55, 0.66)},
            {"fid": 24.1},
        ),
        row(key("palette"), {"dilation": 25}, {"fid": figure(9.0, 8.8, 9.2), "dice": figure(0.3, 0.2, 0.4, cases=11)}),
        row(
            key("mededit"),
            {"dilation": 25},
            {"fid": figure(8.3, 8.0, 8.5), "dice": figure(0.63, 0.58, 0.7), "zone_error": None},
            {"fid": 8.3, "dice": 0.63, "realism": 3.2},
        ),
    ]
    truth = row(
        key("truth"), {"control": "truth"}, {"fid": figure(1, 0.9, 1.1), "dice": figure(0.9, 0.8, 1)}, label="Truth"
    )
    pair = {"row": key("mededit"), "against": key("palette"), "column": "fid", "difference": -0.7, "low": -0.9}
    pair |= {"high": -0.5, "p": 0.0001, "n_cases": 12, "n_groups": 4}
    unclear = pair | {"column": "dice", "difference": 0.03, "low": -0.02, "high": 0.08, "p": 0.31}
    kernel = [
        row(key(f"mededit_k{k}"), {"dilation": k}, {"fid": figure(k / 5, k / 5 - 0.5, k / 5 + 0.5)}, {"fid": 8.2})
        for k in (25, 10, 20, 15)
    ]
    steps = [
        row(key("mededit" if u == 4 else f"mededit_u{u}"), {"resample": u}, {"fid": figure(8 + u)})
        for u in (4, 1, 2, 3)
    ]
    tables = [
        table(
            "5.1",
            "methods",
            [*methods, truth],
            comparisons=[pair, unclear],
            notes=["One <b>sentence</b>.", "Said of all."],
        ),
        table("5.2", "kernel", kernel, notes=["Said of all.", "Only of k."]),
        table("5.3", "resampling", steps, notes=["Said of all."]),
    ]
    for content in tables:
        (folder / f"table_{content['table'].replace('.', '_')}.json").write_text(json.dumps(content))
