# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Measures of simulated pairs: what is identical, what moved, how large things are."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from scipy import ndimage

from mededit_monai.diseases import STRATA, Disease
from mededit_monai.io.displacement import read_displacement
from mededit_monai.io.nifti import read_array
from mededit_monai.simulation.anatomies import TEMPLATE, list_anatomies, load_anatomy
from mededit_monai.simulation.tissues import TISSUES

#: Model pixels by which a lesion's last trace may exceed its mask: a soft edge of 2.5 mm, the resizing filter and the
#: scanner's blur, which leaves 3e-5 of the range as far as 4.5 pixels away.
SOFT_EDGE = 5


def measure_case(case: dict, disease: Disease) -> tuple[dict, dict]:
    """
    Measure a written case.

    Args:
        case: datalist entry with absolute paths.

    Returns:
        figures, and the pictures ``prior``, ``image``, ``regions`` for a montage.
    """
    names = ("image", "prior", "brain", "pathology", "ventricles", "prior_ventricles")
    at = {key: np.squeeze(read_array(case[key])) for key in names}
    lesion = ndimage.binary_dilation(at["pathology"] > 0, np.ones((3, 3)), iterations=SOFT_EDGE)
    reached = lesion | np.squeeze((read_displacement(case["displacement"])[0] != 0).any(axis=0))
    same = at["image"] == at["prior"]
    before, after = at["prior_ventricles"], at["ventricles"]
    parameters = json.loads(Path(case["image"]).with_name("parameters.json").read_bytes())
    shown = bool((before > 0).any())
    alone = not parameters.get("global_atrophy")  # remote atrophy widens ventricles whatever the lesion does
    row = {
        "identical": bool(same[~reached].all()),
        "identical_share": float(same[at["brain"] > 0].mean()),
        "jacobian_min": parameters["jacobian_min"],
        "area_px": int((at["pathology"] > 0).sum()),
        "stratum": parameters["stratum"],
        "ventricle_change_px": int((after > 0).sum()) - int((before > 0).sum()) if shown and alone else None,
        "prior_ventricles_mm2": float((before > 0).sum() * disease.pixel_mm**2) if shown else None,
        "midline_shift_mm": parameters["midline_shift_mm"],
    }
    return row, {"prior": at["prior"], "image": at["image"], "pathology": at["pathology"] > 0}


def summarise(rows: list[dict], disease: Disease) -> dict:
    """Counts, shares and quantiles over all cases."""
    change = np.array([r["ventricle_change_px"] for r in rows if r["ventricle_change_px"] is not None])
    large = change[np.abs(change) > 3]
    right = large > 0 if disease.name == "stroke" else large < 0
    return {
        "cases": len(rows),
        "identical": sum(r["identical"] for r in rows),
        "identical_share_median": float(np.median([r["identical_share"] for r in rows])),
        "jacobian_min": min(r["jacobian_min"] for r in rows),
        "jacobian_positive": sum(r["jacobian_min"] > 0 for r in rows),
        "ventricle_changed": len(large),
        "ventricle_sign_right": float(right.mean()) if len(large) else 1.0,
        "ventricle_change_px": quantiles(change, (5, 50, 95)),
        "midline_shift_mm": quantiles([r["midline_shift_mm"] for r in rows], (5, 50, 95)),
        "area_px": quantiles([r["area_px"] for r in rows], (25, 50, 75)),
        "strata": {s: sum(r["stratum"] == s for r in rows) for s in STRATA},
        "prior_ventricles_mm2": quantiles(
            [r["prior_ventricles_mm2"] for r in rows if r["prior_ventricles_mm2"] is not None], (5, 50, 95)
        ),
    }


def ventricle_areas(anatomies: str | None, heights: tuple[int, int] = (-4, 62)) -> list[float] | None:
    """5, 50 and 95 % quantile of the lateral ventricles' area (mm²) over the slices of label maps that show them."""
    names = list_anatomies(anatomies)
    if names == [TEMPLATE]:
        return None
    areas: list[float] = []
    first = TISSUES.index("left_ventricle")
    for name in names:
        anatomy = load_anatomy(name)
        both = (
            anatomy.channels[..., [first, first + 1, TISSUES.index("choroid")]].astype(np.int32).sum(axis=-1)
        ) >= 128
        levels = [int(anatomy.voxel_of(2, h)) for h in range(*heights)]
        found = both.sum(axis=(0, 1))[[z for z in levels if 0 <= z < both.shape[2]]]
        areas += found[found > 5].tolist()
    return quantiles(areas, (5, 50, 95))


def quantiles(values, percents: tuple[int, ...]) -> list[float]:
    """Percentiles as plain numbers; nothing for no values."""
    values = np.asarray(values, dtype=np.float64)
    return [float(v) for v in np.percentile(values, percents)] if values.size else []
