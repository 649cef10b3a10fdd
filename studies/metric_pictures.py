# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""
The pictures of docs/concepts/metrics.md, from simulated pairs of the embedded template (no data needed).

    python -m studies.metric_pictures -o docs/images/metrics
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image
from scipy import ndimage

from mededit_monai import metrics
from mededit_monai.core.errors import exit_on_bad_input, require_whole
from mededit_monai.core.paths import user_path
from mededit_monai.core.program import run_program
from mededit_monai.io.atomic import replacing
from mededit_monai.metrics.arrays import STROKE_PIXEL_MM, TUMOR_PIXEL_MM
from mededit_monai.metrics.indirect import brain_midline, septum, surface_band, tissue_means
from mededit_monai.metrics.preservation import DISTANCE_EDGES
from mededit_monai.reports.preview import upright
from mededit_monai.simulation.anatomies import load_anatomy
from mededit_monai.simulation.draw_case import LesionPool, draw_case
from mededit_monai.simulation.plan import Recipe, plan_cases
from mededit_monai.space.masks import edit_region
from studies.metric_plots import adherence, agreement, growth, realism, sheet

RED, BLUE, GREEN, ORANGE = "#ff4040", "#40b0ff", "#50d060", "#ff9a20"


def simulated_pairs(disease: str, count: int, seed: int = 3) -> list[dict]:
    """Pairs of :func:`mededit_monai.simulation.pair.simulate_pair` with their edit region M as ``region``."""
    recipe = Recipe(disease=disease, cases=2 * count, seed=seed, slice="mid", global_atrophy=0.0)
    pairs = []
    for case in plan_cases(recipe)[0][:count]:
        pair = draw_case(recipe, case, load_anatomy(case.anatomy), LesionPool())
        masks = [torch.from_numpy(pair[key])[None, None] for key in ("pathology", "brain")]
        pairs.append(pair | {"region": edit_region(*masks, dilation=25)[0, 0].numpy()})
    return pairs


def _frame(brain: np.ndarray) -> tuple[slice, slice]:
    inside = np.argwhere(brain)
    low, high = (inside.min(axis=0) - 3).clip(0), inside.max(axis=0) + 4
    return slice(low[0], high[0]), slice(low[1], high[1])


def _show(panel: Axes, plane: np.ndarray, pair: dict, title: str, **kwargs):
    shown = panel.imshow(upright(plane[_frame(pair["brain"])]), **({"cmap": "gray", "vmin": 0, "vmax": 1} | kwargs))
    panel.set_title(title, fontsize=9)
    panel.set_axis_off()
    return shown


def _outline(panel: Axes, mask: np.ndarray, pair: dict, colour: str, style: str = "-", width: float = 1.3) -> None:
    if mask.any():
        plane = upright(mask[_frame(pair["brain"])]).astype(float)
        panel.contour(plane, [0.5], colors=colour, linestyles=style, linewidths=width)


def _telling(pairs: list[dict], spacing: float, least: int, most: int) -> dict:
    """The pair with the largest ventricle change among those with one lesion of a size (pixels)."""
    fitting = [p for p in pairs if least < p["pathology"].sum() < most and ndimage.label(p["pathology"])[1] == 1]
    return max(fitting or pairs, key=lambda p: abs(growth(p, spacing)))


def zones(stroke: list[dict], tumor: list[dict]) -> Figure:
    """p, M, the ring around M, and the rings of distance."""
    pair = _telling(stroke, STROKE_PIXEL_MM, 300, 700)
    figure, panels = sheet(3, 8.4, 3.3)
    _show(panels[0, 0], pair["prior"], pair, "p (red), M (blue), its ring (green)")
    ring = metrics.surrounding_ring(pair["region"], pair["brain"], STROKE_PIXEL_MM)
    for mask, colour in ((ring | pair["region"], GREEN), (pair["region"], BLUE), (pair["pathology"], RED)):
        _outline(panels[0, 0], mask, pair, colour)
    _show(panels[0, 1], pair["image"], pair, "true counterfactual (simulated)")
    _outline(panels[0, 1], pair["pathology"], pair, RED)
    away = ndimage.distance_transform_edt(~pair["pathology"], sampling=STROKE_PIXEL_MM)
    binned = np.where(pair["brain"], np.digitize(away, DISTANCE_EDGES[1:]), np.nan)
    count = len(DISTANCE_EDGES)
    colours = {"cmap": colormaps["viridis"].resampled(count), "vmin": -0.5, "vmax": count - 0.5}
    shown = _show(panels[0, 2], binned, pair, "rings of distance to p, mm", **colours)
    bar = figure.colorbar(shown, ax=panels[0, 2], shrink=0.8, ticks=np.arange(count) - 0.5)
    bar.ax.set_yticklabels([f"{edge:g}" for edge in DISTANCE_EDGES], fontsize=7)
    _outline(panels[0, 2], pair["pathology"], pair, RED)
    return figure


def _bad_edits(pair: dict, other: dict) -> dict[str, np.ndarray]:
    """Edits with one fault each; all leave everything outside M as it was."""
    zone = pair["region"] & ~pair["pathology"] & pair["brain"]
    truth = np.where(pair["region"], pair["image"], pair["prior"])
    blurred = ndimage.gaussian_filter(truth, 1.6)
    return {
        "truth in M": truth,
        "brighter by 0.06": np.where(zone, np.clip(truth + 0.06, 0, 1), truth),
        "smoothed": np.where(zone, blurred, truth),
        "another person's anatomy": np.where(zone & other["brain"], other["prior"], truth),
    }


def preservation(stroke: list[dict], tumor: list[dict]) -> Figure:
    """Four edits of one scan, what their measures say, and change against distance."""
    pair = _telling(stroke, STROKE_PIXEL_MM, 300, 700)
    edits = _bad_edits(pair, next(p for p in stroke if p is not pair))
    figure, panels = sheet(5, 11.6, 3.3)
    for panel, (name, edit) in zip(panels[0], edits.items()):
        _show(panel, edit, pair, name)
        _outline(panel, pair["region"], pair, BLUE, "--", 0.8)
        panel.text(0.5, -0.03, _figures(edit, pair), transform=panel.transAxes, ha="center", va="top", fontsize=7.5)
        change, _ = metrics.change_by_distance(
            edit, pair["prior"], pair["pathology"], pair["brain"], STROKE_PIXEL_MM, DISTANCE_EDGES
        )
        panels[0, 4].plot(DISTANCE_EDGES[:7], change[:7], marker=".", label=name, drawstyle="steps-post", linewidth=1.2)
    panels[0, 4].set_title("mean |change| in rings around p", fontsize=9)
    panels[0, 4].set_xlabel("distance from p, mm", fontsize=8)
    panels[0, 4].tick_params(labelsize=7)
    panels[0, 4].set_ylim(0, 1.5 * panels[0, 4].get_ylim()[1])
    panels[0, 4].legend(fontsize=7, loc="upper right")
    return figure


def _figures(edit: np.ndarray, pair: dict) -> str:
    region, lesion, brain = pair["region"], pair["pathology"], pair["brain"]
    ring = metrics.surrounding_ring(region, brain, STROKE_PIXEL_MM)
    zone = region & ~lesion & brain
    error = metrics.zone_errors(edit, pair["image"], pair["prior"], lesion, region, brain)["zone"]
    steps = [metrics.edge_gradient(i, region, brain) for i in (edit, pair["prior"])]
    mismatch = [metrics.ring_mismatch(i, region, lesion, brain, STROKE_PIXEL_MM) for i in (edit, pair["prior"])]
    texture = [metrics.texture_ratio(i, zone, ring, brain, STROKE_PIXEL_MM) for i in (edit, pair["prior"])]
    return (
        f"error in the zone {error.error:.3f} (no edit {error.idle:.3f})\nedge gradient × {steps[0] / steps[1]:.2f}\n"
        f"ring mismatch {mismatch[0] - mismatch[1]:+.3f}\ntexture × {texture[0] / texture[1]:.2f}"
    )


def ventricles(stroke: list[dict], tumor: list[dict]) -> Figure:
    """Ventricles before and after a stroke and a tumour, change by side."""
    chosen = (
        (_telling(stroke, STROKE_PIXEL_MM, 300, 700), STROKE_PIXEL_MM, "stroke"),
        (_telling(tumor, TUMOR_PIXEL_MM, 150, 420), TUMOR_PIXEL_MM, "tumour"),
    )
    figure, panels = sheet(4, 11.0, 3.3)
    for k, (pair, spacing, name) in enumerate(chosen):
        picture, bars = panels[0, 2 * k], panels[0, 2 * k + 1]
        _show(picture, pair["image"], pair, f"{name}: before (blue), after (orange)")
        _outline(picture, pair["prior_ventricles"] > 0, pair, BLUE)
        _outline(picture, pair["ventricles"] > 0, pair, ORANGE)
        _outline(picture, pair["pathology"], pair, RED, "--", 0.9)
        parts = (pair["prior_ventricles"], pair["ventricles"], pair["pathology"], pair["brain"])
        found = metrics.ventricle_change(*parts, spacing)
        values = (found.ipsilateral, found.contralateral)
        bars.bar(("lesion's side", "other side"), values, color=(RED, "#909090"), width=0.6)
        bars.axhline(0, color="black", linewidth=0.8)
        bars.set_title(f"change, mm²; asymmetry {found.asymmetry:+.2f}", fontsize=9)
        bars.tick_params(labelsize=8)
    return figure


def log_jacobian_maps(stroke: list[dict], tumor: list[dict]) -> Figure:
    """The map found by registration beside the true one."""
    chosen = (
        (_telling(stroke, STROKE_PIXEL_MM, 300, 700), STROKE_PIXEL_MM, "stroke"),
        (_telling(tumor, TUMOR_PIXEL_MM, 150, 420), TUMOR_PIXEL_MM, "tumour"),
    )
    figure, panels = sheet(4, 7.2, 3.95, rows=2)
    for row, (pair, spacing, name) in zip(panels, chosen):
        found = metrics.edit_log_jacobian(pair["prior"], pair["image"], pair["pathology"], spacing)
        true = metrics.log_jacobian(_inverse(pair["displacement"][:2] / spacing) * spacing, spacing)
        _show(row[0], pair["prior"], pair, f"{name}: prior scan")
        _show(row[1], pair["image"], pair, "counterfactual")
        for panel, values, title in ((row[2], found, "log-Jacobian, registered"), (row[3], true, "log-Jacobian, true")):
            inside = np.where(pair["brain"], values, np.nan)
            shown = _show(panel, inside, pair, title, cmap="RdBu_r", vmin=-0.8, vmax=0.8)
            _outline(panel, pair["prior_ventricles"] > 0, pair, "black", "-", 0.9)
            _outline(panel, pair["pathology"], pair, GREEN, "--", 0.9)
        figure.colorbar(shown, ax=row[3], shrink=0.8).ax.tick_params(labelsize=7)
    return figure


def _inverse(pull: np.ndarray) -> np.ndarray:
    """v with r + v(r) → r: prior to counterfactual from counterfactual to prior; both in pixels."""
    base = np.stack(np.meshgrid(*[np.arange(n, dtype=float) for n in pull.shape[1:]], indexing="ij"))
    push = np.zeros_like(pull, dtype=np.float64)
    for _ in range(40):
        push = -np.stack([ndimage.map_coordinates(c, base + push, order=1, mode="nearest") for c in pull])
    return push


def midline(stroke: list[dict], tumor: list[dict]) -> Figure:
    """Septum before and after, and the shift row by row."""
    pair = max(tumor, key=_septum_shift)
    places = [septum(pair[key]) for key in ("prior_ventricles", "ventricles")]
    rows = sorted(set(places[0]) & set(places[1]))
    figure, panels = sheet(3, 9.0, 3.3)
    frame = _frame(pair["brain"])
    for panel, key, title in zip(
        panels[0], ("prior", "image"), ("prior: septum before (blue)", "tumour: septum after (orange)")
    ):
        _show(panel, pair[key], pair, title)
        panel.axvline(frame[0].stop - 1 - brain_midline(pair["brain"]), color="white", linestyle=":", linewidth=0.9)
        for place, colour in zip(places, (BLUE, ORANGE)):
            where = [(frame[0].stop - 1 - place[r], frame[1].stop - 1 - r[0]) for r in rows]
            panel.plot(*zip(*where), color=colour, marker=".", markersize=3, linewidth=1)
        _outline(panel, pair["regions"] > 0, pair, RED, "--", 0.9)
    field = _rows_of_field(pair)
    y = (np.array([r[0] for r in rows]) - np.argwhere(pair["brain"])[:, 1].mean()) * TUMOR_PIXEL_MM
    shifts = [(places[1][r] - places[0][r]) * TUMOR_PIXEL_MM for r in rows]
    panels[0, 2].plot(*field, color="#808080", label="from the true displacement")
    panels[0, 2].plot(shifts, y, ".", color=ORANGE, label="from the septum (½ pixel steps)")
    panels[0, 2].axvline(0, color="black", linewidth=0.8)
    panels[0, 2].set_title("midline shift, mm (right is positive)", fontsize=9)
    panels[0, 2].set_ylabel("back … front, mm", fontsize=8)
    panels[0, 2].tick_params(labelsize=7)
    panels[0, 2].legend(fontsize=7)
    return figure


def _septum_shift(pair: dict) -> float:
    found = metrics.midline_shift_from_ventricles(pair["prior_ventricles"], pair["ventricles"], TUMOR_PIXEL_MM)
    return abs(found.mean) if found.rows > 8 else 0.0


def _rows_of_field(pair: dict) -> tuple[np.ndarray, np.ndarray]:
    """Shift of each row (mm) and the row's place (mm from the brain's middle)."""
    shifts, places = [], []
    for y in range(pair["brain"].shape[1]):
        row = np.zeros_like(pair["brain"])
        row[:, y] = pair["brain"][:, y]
        if row.any():
            middle = brain_midline(pair["brain"])
            found = metrics.midline_shift_from_field(pair["displacement"], row, TUMOR_PIXEL_MM, middle)
            shifts.append(found.mean)
            places.append((y - np.argwhere(pair["brain"])[:, 1].mean()) * TUMOR_PIXEL_MM)
    return np.array(shifts), np.array(places)


def sulci(stroke: list[dict], tumor: list[dict]) -> Figure:
    """The band, and the share of fluid in it before and after."""

    def change(pair: dict):
        parts = (pair["prior"], pair["image"], pair["pathology"], pair["brain"])
        return metrics.sulcal_fluid_change(*parts, TUMOR_PIXEL_MM)

    pair = min(tumor, key=lambda p: change(p).ipsilateral)
    dark, gray, _ = tissue_means(pair["prior"], pair["brain"])
    band = surface_band(pair["brain"], TUMOR_PIXEL_MM)
    figure, panels = sheet(3, 8.4, 3.3)
    for panel, key, title in zip(
        panels[0], ("prior", "image"), ("prior: fluid in the band", "tumour: fluid in the band")
    ):
        share = np.clip((gray - pair[key]) / (gray - dark), 0, 1)
        _show(panel, pair[key], pair, title, vmax=1.6)
        _show(panel, np.where(band & (share > 0.1), share, np.nan), pair, title, cmap="cool")
        _outline(panel, pair["brain"] & ~band, pair, ORANGE, ":", 0.9)
        _outline(panel, pair["pathology"], pair, RED, "--")
    share = [np.clip((gray - pair[key]) / (gray - dark), 0, 1) for key in ("prior", "image")]
    found = change(pair)
    title = f"change: {found.ipsilateral:+.1f} mm² on the tumour's side"
    away = ndimage.distance_transform_edt(~pair["pathology"], sampling=TUMOR_PIXEL_MM) > 3
    signed = np.where(band & away, share[1] - share[0], np.nan)
    _show(panels[0, 2], pair["image"], pair, title, vmax=1.6)
    signed[np.abs(signed) < 0.02] = np.nan
    shown = _show(panels[0, 2], signed, pair, title, cmap="RdBu_r", vmin=-0.5, vmax=0.5)
    figure.colorbar(shown, ax=panels[0, 2], shrink=0.8).ax.tick_params(labelsize=7)
    return figure


PICTURES: dict[str, Callable[[list[dict], list[dict]], Figure]] = {
    "zones": zones,
    "preservation": preservation,
    "adherence": adherence,
    "ventricles": ventricles,
    "log_jacobian": log_jacobian_maps,
    "midline": midline,
    "sulci": sulci,
    "agreement": agreement,
    "realism": realism,
}


def save_pictures(output_dir: str | Path, cases: int = 60) -> list[Path]:
    """
    Draw all pictures.

    Args:
        output_dir: made if missing; gets one PNG each, whole or not at all.
        cases: simulated pairs of each disease to choose from.
    """
    folder = user_path(output_dir)
    folder.mkdir(parents=True, exist_ok=True)
    stroke, tumor = (simulated_pairs(disease, cases) for disease in ("stroke", "tumor"))
    written = []
    for name, draw in PICTURES.items():
        buffer = io.BytesIO()
        draw(stroke, tumor).savefig(buffer, format="png")
        written.append(folder / f"{name}.png")
        with replacing(written[-1]) as unfinished:
            Image.open(buffer).convert("RGB").save(unfinished, format="png", optimize=True)
    return written


def main() -> None:
    """Command line of the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output_dir", default="docs/images/metrics", help="folder for the PNGs")
    parser.add_argument("--cases", type=int, default=60, help="simulated pairs of each disease to choose from")
    options = parser.parse_args()
    with exit_on_bad_input():
        require_whole("cases", options.cases, 2, most=10**5)
        for path in save_pictures(options.output_dir, options.cases):
            print(f"{path}  {path.stat().st_size // 1024} KB")


if __name__ == "__main__":
    run_program(main)
