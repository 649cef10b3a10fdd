# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""How good a judge is on anatomies it has not seen: a table by structure, with two-level bootstrap intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

import matplotlib
import numpy as np
import torch

from mededit_monai.diseases import DISEASES, STRATA
from mededit_monai.io.atomic import replacing, write_json, write_text
from mededit_monai.judges.operating_point import FEW
from mededit_monai.judges.samples import LoadSample
from mededit_monai.judges.structures import WHOLE, one_structure, structures, unpack, without_tissue
from mededit_monai.metrics.adherence import dice
from mededit_monai.metrics.statistics import bootstrap
from mededit_monai.reports.plain_text import table_cell

#: Said where the judge learned from anatomies that it is measured on.
SHARED = "The judge learned from some of their anatomies: not a test on new ones."

#: Images in the picture.
SHOWN = 12


class Measured(Protocol):
    """What a judge must say and do to be measured: an embedded one or nnU-Net."""

    @property
    def name(self) -> str:
        """Of the judge, with its weights."""

    @property
    def disease(self) -> str:
        """That it was trained on."""

    @property
    def structures(self) -> tuple[str, ...]:
        """What it looks for."""

    @property
    def spatial_dims(self) -> int:
        """2: slices, 3: volumes."""

    @property
    def portion(self) -> int:
        """Images that it looks at at a time."""

    def segment(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Masks as of :func:`~mededit_monai.judges.structures.as_masks`."""


def measure_held_out(
    judge: Measured, samples: Sequence[Mapping[str, Any]], cohort: Mapping[str, Any]
) -> dict[str, Any]:
    """
    Dice of each structure over cases, with and without lesion in the image; lesions also by size stratum and, where
    their masks are of several folders, by folder; of a tumour also its parts as one, ``WHOLE``, as the thesis's judge.

    Args:
        judge: measured.
        samples: of the ``testing`` split (:func:`~mededit_monai.judges.samples.cohort_samples`).
        cohort: what it is; says whether the splits share anatomies.

    Returns:
        ``rows``: one a structure and kind of image, each with value, low, high, n_groups (anatomies), n_cases; cases in
        which the structure is absent have no Dice. ``pooled``: Dice of all cases' pixels together, in which small
        structures count as much as they are large. ``area_bias``: mean (found - true) / mean true area.
        ``false_alarms``: on lesion-free images, the share with any lesion pixel found and with more than five, the mean
        number of them, and how many at most are found in 95 % of the images.
        ``ceiling``: structure → its Dice on images with lesion. ``_cases``: of the images one by one anatomy, stratum,
        shown, and ``dice`` by structure.
    """
    names = structures(judge.disease)
    table: dict[str, list] = {key: [] for key in ("anatomy", "stratum", "source", "shown")}
    parts = len(DISEASES[judge.disease].structures)
    known = [name for name in names if name in judge.structures]
    measured = [*known[:parts], *([WHOLE] if parts > 1 else []), *known[parts:]]
    scores: dict[str, list[float]] = {name: [] for name in measured}
    areas: dict[str, list[tuple[int, int, int]]] = {name: [] for name in measured}
    pictures: list[tuple[np.ndarray, dict[str, np.ndarray], dict[str, np.ndarray]]] = []
    load = LoadSample(judge.disease, judge.spatial_dims)
    for start in range(0, len(samples), judge.portion):
        part = samples[start : start + judge.portion]
        loaded = [load(sample) for sample in part]
        images = torch.stack([item["image"][0].float() for item in loaded]).numpy()
        truth = unpack(torch.stack([item["label"].float() for item in loaded]), len(names)).numpy() > 0
        masks = judge.segment(images)
        for key, column in table.items():
            column.extend(sample[key] for sample in part)
        for name in measured:
            found = masks["pathology"] if name == WHOLE else one_structure(masks, name, judge.disease)
            true = truth[:, :parts].any(axis=1) if name == WHOLE else truth[:, names.index(name)]
            for one, wanted in zip(found, true):
                scores[name].append(dice(one, wanted) if wanted.any() else float("nan"))
                areas[name].append((int(one.sum()), int(wanted.sum()), int((one & wanted).sum())))
        if set(known) == set(names):
            left = max(0, SHOWN - len(pictures))
            pictures += [_shown(*one) for one in zip(images[:left], _each(masks), truth)]
    rows = _rows(judge.disease, table, scores, areas)
    with_lesion = {r["structure"]: r["dice"] for r in rows if r["shown"] == "lesion" and r["stratum"] == "all"}
    members = cohort.get("anatomies") or {}
    shared = bool(set(members.get("training", ())) & set(members.get("testing", ())))
    return {
        "judge": judge.name,
        "disease": judge.disease,
        "spatial_dims": judge.spatial_dims,
        "anatomies_shared_between_splits": shared,
        "interval": "95 %, bootstrap over anatomies, then cases",
        "rows": rows,
        "false_alarms": _false_alarms(judge.disease, table, areas),
        "ceiling": with_lesion,
        "_pictures": pictures,
        "_cases": table | {"dice": scores},
    }


def _each(masks: dict[str, np.ndarray]) -> list[dict[str, np.ndarray]]:
    return [{key: mask[k] for key, mask in masks.items()} for k in range(len(masks["pathology"]))]


def _shown(
    image: np.ndarray, masks: dict[str, np.ndarray], truth: np.ndarray
) -> tuple[np.ndarray, dict[str, np.ndarray], np.ndarray]:
    """A slice as it is; of a volume the axial plane with most of the first structure, or the middle one."""
    if image.ndim == 2:
        return image, masks, truth
    areas = truth[0].sum(axis=(0, 1))
    z = int(areas.argmax()) if areas.any() else image.shape[2] // 2
    return image[..., z], {key: mask[..., z] for key, mask in masks.items()}, truth[..., z]


def _rows(disease: str, table: dict[str, list], scores: dict[str, list[float]], areas: dict[str, list]) -> list[dict]:
    shown, strata, sources = (np.array(table[key]) for key in ("shown", "stratum", "source"))
    parts = {"all": shown == shown} | {stratum: strata == stratum for stratum in STRATA if stratum in strata}
    folders = sorted(set(table["source"]))
    parts |= {f"masks of {folder}": sources == folder for folder in folders} if len(folders) > 1 else {}
    rows = []
    for name in scores:
        pathological = name in (*DISEASES[disease].structures, WHOLE)
        for kind in ("lesion",) if pathological else ("lesion", "lesion_free"):
            for stratum in parts if pathological else ["all"]:
                chosen = np.flatnonzero((shown == kind) & parts[stratum])
                values = np.array([scores[name][k] for k in chosen])
                anatomies = [table["anatomy"][k] for k in chosen]
                known = bool(values.size) and bool((~np.isnan(values)).any())
                pixels = np.array([areas[name][k] for k in chosen], dtype=np.float64).reshape(-1, 3)
                found, true, _ = pixels.sum(axis=0)
                rows.append(
                    {
                        "structure": name,
                        "shown": kind,
                        "stratum": stratum,
                        "dice": asdict(bootstrap(values, anatomies)) if known else None,
                        "pooled": asdict(bootstrap(pixels, anatomies, _pooled)) if known else None,
                        "area_bias": (found - true) / true if true else None,
                    }
                )
    return rows


def _pooled(pixels: np.ndarray) -> float:
    """Dice of pixels (found, true, both), one row a case, summed over the cases."""
    found, true, both = pixels.sum(axis=0)
    return float(2 * both / (found + true)) if found + true else float("nan")


def _false_alarms(disease: str, table: dict[str, list], areas: dict[str, list]) -> dict[str, float]:
    free = [k for k, kind in enumerate(table["shown"]) if kind == "lesion_free"]
    pixels = [sum(areas[name][k][0] for name in DISEASES[disease].structures) for k in free]
    return {
        "images": len(free),
        "share_with_any": float(np.mean([p > 0 for p in pixels])) if free else float("nan"),
        f"share_above_{FEW}": float(np.mean([p > FEW for p in pixels])) if free else float("nan"),
        "mean_pixels": float(np.mean(pixels)) if free else float("nan"),
        "most_pixels": float(np.percentile(pixels, 95)) if free else float("nan"),
    }


#: What :func:`write_held_out` writes.
HELD_OUT_FILES = ("held_out.json", "held_out.md", "held_out.png")


def write_held_out(found: dict[str, Any], folder: Path) -> None:
    """Write ``held_out.json``, ``held_out.md`` and ``held_out.png``; takes pictures and cases out of ``found``."""
    pictures = found.pop("_pictures", [])
    found.pop("_cases", None)
    write_json(folder / "held_out.json", found)
    write_text(folder / "held_out.md", _markdown(found))
    if pictures:
        _sheet(pictures, found["disease"], folder / "held_out.png")


def _markdown(found: Mapping[str, Any]) -> str:
    shared = found["anatomies_shared_between_splits"]
    unit, size = ("voxel", "volume") if found["spatial_dims"] == 3 else ("pixel", "area")
    lines = [
        f"# {found['judge']} on held-out cases",
        "",
        "Simulated brains (synthetic). Research use only, not a medical device. "
        + (SHARED if shared else "No anatomy was in training."),
        "",
        f"Interval: {found['interval']}.",
        "",
        f"| structure | image | lesions | Dice, mean of cases | interval | pooled over {unit}s | interval | "
        f"anatomies | cases | {size} bias |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in found["rows"]:
        d, p, bias = row["dice"], row["pooled"], row["area_bias"]
        score = (
            " | ".join(f"{f['value']:.3f} | {f['low']:.3f} … {f['high']:.3f}" for f in (d, p))
            + f" | {d['n_groups']} | {d['n_cases']}"
            if d
            else "– | – | – | – | 0 | 0"
        )
        kind = row["shown"].replace("_", "-")
        shown_bias = "–" if bias is None else f"{bias:+.1%}"
        lines.append(f"| {row['structure']} | {kind} | {table_cell(row['stratum'])} | {score} | {shown_bias} |")
    alarms = found["false_alarms"]
    lines += [
        "",
        f"Of {alarms['images']} lesion-free images, {alarms['share_with_any']:.0%} have any {unit} of lesion found, "
        f"{alarms[f'share_above_{FEW}']:.0%} more than {FEW}; "
        f"{alarms['mean_pixels']:.1f} {unit}s on average, and up to {alarms['most_pixels']:.0f} in 95 % of them.",
    ]
    return "\n".join(lines) + "\n"


def _sheet(pictures: list, disease: str, path: Path) -> None:
    """Truth (dashed) and judge (solid) on held-out images; tissue without outlines, they would hide the others."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 9), layout="constrained")
    names, colours = without_tissue(disease), matplotlib.colormaps["tab10"].colors
    for axes, (image, masks, truth) in zip(figure.subplots(3, 4).flat, pictures):
        axes.imshow(image.T, cmap="gray", origin="lower", vmin=0, vmax=1)
        stacked = {key: mask[None] for key, mask in masks.items()}
        for k, name in enumerate(names):
            for mask, style in ((truth[k], "dashed"), (one_structure(stacked, name, disease)[0], "solid")):
                if mask.any():
                    axes.contour(mask.T, levels=[0.5], colors=[colours[k]], linestyles=style, linewidths=0.8)
        axes.set_axis_off()
    legend = ", ".join(f"{name}: colour {k}" for k, name in enumerate(names))
    figure.suptitle(f"truth dashed, judge solid ({legend}); synthetic, research use only", fontsize=9)
    with replacing(path) as unfinished:
        figure.savefig(unfinished, dpi=80)
