# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""What a release must reach, and whether a table of an evaluation shows that it does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mededit_monai.evaluation.columns import COLUMNS

#: The editor that a bundle's edits use by default; a release is judged by it.
DEFAULT = "morph"

#: The true counterfactual as a row, whose figure is what an editor can reach at best where no other ceiling is known.
TRUTH = "truth"

#: What the last column of the targets means.
VERDICTS = (
    "met: the whole 95 % interval lies on the right side of the bound; where another row is to be beaten, that of the "
    "paired difference. missed: the value lies on the wrong side. not shown: the interval crosses the bound, or there "
    "is none. Ceiling: what the truth itself scores on the same cases; of r, slope and end-point error, what a perfect "
    "mean does."
)


@dataclass(frozen=True)
class Target:
    """
    What an editor shall reach.

    Args:
        column: of the table; low, high: within; None: no end.
        below: rows whose figure in that column it must be below, by the paired difference on the same cases.
        ceiling: what the best possible estimate has; None: what the truth's row has.
    """

    column: str
    low: float | None = None
    high: float | None = None
    below: tuple[str, ...] = ()
    ceiling: float | None = None


#: By disease; Dice by the embedded judge.
TARGETS = {
    "stroke": (Target("dice", low=0.6),),
    "tumor": (Target("dice", low=0.7), Target("core_present", low=0.9)),
}

#: For every disease, in slices.
INDIRECT = (
    Target("ventricle_r", low=0.8),
    Target("ventricle_slope", low=0.8, high=1.2),
    Target("ventricle_partial_r", low=0.5),
    Target("zone_error", below=("no_edit", "mededit", "naive_repaint", "sdedit")),
    Target("outside_error", below=("no_edit", "mededit", "naive_repaint", "sdedit")),
    Target("ventricle_error", below=("mededit", "naive_repaint", "sdedit", "area_regression")),
)

#: Of the displacement and the paint, in slices and volumes; no judge takes part.
DISPLACED = (
    Target("lesion_auc", high=0.6),
    Target("lesion_auc_trees", high=0.6),
    Target("carried_calibration", low=0.9, high=1.1),
    Target("jacobian", low=1e-6),
    Target("round_trip", high=0.1),
    Target("composition", high=0),
)

#: How near to the ceiling of a perfect mean (studies.effects_ceiling) it shall come: shares of its r and slope, at
#: least, and of its end-point error, at most.
NEAR_CEILING = {"carried_r": 0.97, "carried_slope": 0.85, "end_point": 1.5}

#: Of volumes: the sign of the ventricles' change, slices that go together, no worse than slice by slice.
VOLUMES = (
    Target("carried_sign", low=0.97),
    Target("slice_step", low=0.9, high=1.1),
    Target("zone_error", below=("no_edit", "by_slice")),
    Target("end_point", below=("by_slice",)),
    Target("carried_error", below=("by_slice",)),
)

#: Of volumes with tumours, by what the editor is told: both draw core and rim of large ones; where a small core lies, a
#: bare mask does not say.
LAID_OUT = {
    "mask": (Target("core_and_rim", low=0.8),),
    "regions": (Target("core_present", low=0.95), Target("core_and_rim", low=0.8)),
}


def displaced_targets(
    spatial_dims: int, condition: str, ceiling: Mapping[str, Any] | None, same_cases: bool = False
) -> tuple[Target, ...]:
    """
    What the displacement and the paint shall reach.

    Args:
        condition: what the editor is told.
        ceiling: what ``ceiling.json`` holds; None: not computed, and nothing is held against it.
        same_cases: whether the table's cases are the ceiling's: then the truth is the very same draw of each.
    """
    found = list(DISPLACED)
    if spatial_dims == 3:
        found += (*VOLUMES, *LAID_OUT.get(condition, ()))
    if ceiling is not None:
        known = ceiling["ventricles"]
        r, slope = (known["own"][key]["value"] if same_cases else known[key] for key in ("r", "slope"))
        found.append(Target("carried_r", low=NEAR_CEILING["carried_r"] * r, ceiling=r))
        found.append(Target("carried_slope", low=NEAR_CEILING["carried_slope"] * slope, ceiling=slope))
        if ceiling["end_point_mm"] is not None:
            best = ceiling["end_point_mm"]["value"]
            found.append(Target("end_point", high=NEAR_CEILING["end_point"] * best, ceiling=best))
    return tuple(found)


def met(
    target: Target,
    figures: Mapping[str, Mapping[str, Any]],
    differences: Mapping[str, Mapping[str, Mapping[str, Any]]],
) -> dict[str, Any] | None:
    """
    A target of the default editor against a table's rows.

    Args:
        figures: row → column → figure.
        differences: row → column → paired difference (the default editor minus that row), with its interval.

    Returns:
        ``column value low high wanted ceiling verdict met``; None where the table has no such column. ``verdict``:
        ``met`` (the whole interval lies on the right side), ``missed`` (the value lies on the wrong side) or ``not
        shown`` (the interval crosses the bound, or there is none). The smallest and largest of all cases have no
        interval: they are what they are.
    """
    if not any(target.column in row for row in figures.values()):
        return None
    figure = figures[DEFAULT].get(target.column) or {}
    value, low, high = (figure.get(part) for part in ("value", "low", "high"))
    if target.column in COLUMNS and COLUMNS[target.column].kind in ("least", "most"):
        low = high = value
    wanted, checks = [], []  # of each bound: is the value on the right side, is all of the interval?
    if target.low is not None:
        wanted.append(f"≥ {target.low:g}")
        checks.append((value is None or value >= target.low, low is not None and low >= target.low))
    if target.high is not None:
        wanted.append(f"≤ {target.high:g}")
        checks.append((value is None or value <= target.high, high is not None and high <= target.high))
    for name in target.below:
        other = (figures.get(name, {}).get(target.column) or {}).get("value")
        pair = differences.get(name, {}).get(target.column) or {}
        least, most = pair.get("low"), pair.get("high")
        shown = "not measured" if other is None else f"{other:.4g}"
        interval = "" if least is None or most is None else f"; difference {least:.4g} … {most:.4g}"
        wanted.append(f"< {name} ({shown}{interval})")
        checks.append((value is None or other is None or value < other, most is not None and most < 0))
    if not all(right for right, _ in checks):
        verdict = "missed"
    else:
        verdict = "met" if value is not None and all(whole for _, whole in checks) else "not shown"
    found = {"column": target.column, "value": value, "low": low, "high": high, "wanted": ", ".join(wanted)}
    best = (figures.get(TRUTH, {}).get(target.column) or {}).get("value") if target.ceiling is None else target.ceiling
    return {**found, "ceiling": best, "verdict": verdict, "met": verdict == "met"}
