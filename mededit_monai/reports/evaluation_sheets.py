# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Cases of an evaluation side by side: the best, median and worst of a method, and the strip over U."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib import colormaps
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from mededit_monai.io.provenance import DISCLAIMER
from mededit_monai.reports.evaluation_folder import Case, EvaluationFolder, in_order
from mededit_monai.reports.evaluation_tables import number
from mededit_monai.reports.evaluation_views import write_case_view
from mededit_monai.reports.preview import upright

#: By what the cases of a pairing are ranked: columns (the first that a case has), name, and whether higher is better.
#: Boxes are scored by boxes, as in the thesis.
RANKED_BY = {
    "thesis": (("boxes_box_dice", "adherence_dice"), "Dice", True),
    "paired": (("truth_error_zone",), "error in the zone", False),
}

#: The signed difference is shown from minus to plus this.
DIFFERENCE = 0.6

#: A change outside the brain is shown from here on; below it is the network's rounding of the background.
VISIBLE = 0.05

_HEIGHT, _BAND, _GAP = 208, 20, 3
_RED = (255, 72, 72)


@dataclass(frozen=True)
class Tile:
    """A picture with its heading: HxW or HxWx3 in [0, 1], upright; None: not in the folder."""

    name: str
    picture: np.ndarray | None


@dataclass(frozen=True)
class Strip:
    """A case's tiles as one JPEG data URI; page: where the case can be looked at, relative to the report."""

    case_id: str
    source: str
    words: str
    width: int
    height: int
    page: str = ""


def ranked(cases: Sequence[Case], pairing: str) -> list[tuple[Case, float]]:
    """Cases with their figure, best first; equal ones by name; those without figure are left out."""
    names, _, higher = RANKED_BY[pairing]
    known = [(case, value) for case in cases if (value := case.figure(*names)) is not None]
    return sorted(known, key=lambda pair: (-pair[1] if higher else pair[1], pair[0].case_id))


def best_median_worst(order: Sequence[Any], each: int = 2) -> dict[str, list[Any]]:
    """
    The first, middle and last of a ranking, nothing twice: ``best`` from the best on, ``worst`` from the worst on.

    Args:
        order: best first.
        each: how many of each; fewer where the ranking is shorter than three times that.
    """
    each = min(each, len(order) // 3) or 1
    start = max(0, (len(order) - each) // 2)
    groups = {"best": order[:each], "median": order[start : start + each], "worst": order[::-1][:each]}
    seen: list[Any] = []
    for name, members in groups.items():
        groups[name] = [member for member in members if member not in seen]
        seen += groups[name]
    return {name: list(members) for name, members in groups.items() if members}


def contact_sheet(
    source: EvaluationFolder, row: str, pairing: str, each: int = 2, pages: bool = False
) -> dict[str, list[Strip]]:
    """
    Best, median and worst cases of a row: prior with the lesion's outline, edit, signed difference, truth where known.

    Args:
        each: how many of each rank.
        pages: whether the first of each rank gets a page in which it can be looked at.

    Returns:
        ``best``, ``median``, ``worst`` → strips; empty where no edit of the row or no prior scan is in reach.
    """
    order = ranked(source.of(row, pairing), pairing)
    chosen = best_median_worst(order, each)
    cases = [case for members in chosen.values() for case, _ in members]
    if not any(_has_pictures(source, row, case) for case in cases):
        return {}
    frame, name = frame_size(source, pairing), RANKED_BY[pairing][1]

    def draw(case: Case, value: float, page: bool) -> Strip:
        size = case.facts.get("stratum")
        words = f"{name} {number(value, 3)}" + (f", {size} lesion" if size else "")
        strip = draw_strip(case.case_id, _tiles(source, row, case, frame), words)
        return replace(strip, page=(write_case_view(source, row, case) if page else None) or "")

    return {
        rank: [draw(*member, page=pages and place == 0) for place, member in enumerate(members)]
        for rank, members in chosen.items()
    }


def _has_pictures(source: EvaluationFolder, row: str, case: Case) -> bool:
    has_prior = source.plane(case.pairing, case.case_id, "prior") is not None
    return has_prior and source.edit(row, case.pairing, case.case_id) is not None


def _tiles(source: EvaluationFolder, row: str, case: Case, frame: tuple[int, int]) -> list[Tile]:
    shown = Shown(source, case, frame)
    edit = source.edit(row, case.pairing, case.case_id)
    tiles = [
        Tile("prior, lesion", shown.outlined()),
        Tile("edit (synthetic)", shown.grey(edit)),
        Tile("edit − prior", shown.difference(edit)),
    ]
    if case.pairing == "paired" and (truth := source.plane("paired", case.case_id, "image")) is not None:
        tiles.append(Tile("truth (simulated)", shown.grey(truth)))
    return tiles


def resampling_strips(source: EvaluationFolder, table: Mapping[str, Any], count: int = 4) -> list[Strip]:
    """
    Prior, lesion's outline and the edit at every U of a table, for a few cases from the smallest lesion to the largest.

    Args:
        table: of kind ``resampling``.
        count: cases at most; only those that were edited at every U.
    """
    rows = in_order(table)
    for pairing in source.triplets:
        cases = [c for c in source.of(rows[0][1]["row"], pairing) if _edited_at_all(source, rows, c)] if rows else []
        if len(rows) < 2 or not cases:
            continue
        cases.sort(key=lambda c: (c.figure("lesion_area") or 0.0, c.case_id))
        places = np.linspace(
            0, len(cases) - 1, min(count + 2, len(cases))
        )  # without the two extremes, if there are more
        chosen = [cases[round(p)] for p in (places[1:-1] if len(places) > 2 else places)]
        frame = frame_size(source, pairing)
        return [draw_strip(c.case_id, _strip_tiles(source, rows, c, frame), _stratum(c)) for c in chosen]
    return []


def _edited_at_all(source: EvaluationFolder, rows: Sequence[tuple[float, Mapping[str, Any]]], case: Case) -> bool:
    return all(_has_pictures(source, row["row"], case) for _, row in rows)


def _strip_tiles(
    source: EvaluationFolder, rows: Sequence[tuple[float, Mapping[str, Any]]], case: Case, frame: tuple[int, int]
) -> list[Tile]:
    shown = Shown(source, case, frame)
    edits = [
        Tile(f"U = {steps:g} (synthetic)", shown.grey(source.edit(row["row"], case.pairing, case.case_id)))
        for steps, row in rows
    ]
    prior = source.plane(case.pairing, case.case_id, "prior")
    return [Tile("prior", shown.grey(prior)), Tile("lesion p", shown.outlined()), *edits]


def _stratum(case: Case) -> str:
    area = case.figure("lesion_area")
    words = [f"{case.facts['stratum']} lesion"] if case.facts.get("stratum") else []
    return ", ".join(words + ([f"{area:.0f} mm²"] if area is not None else []))


def frame_size(source: EvaluationFolder, pairing: str, margin: int = 3) -> tuple[int, int]:
    """Width and height (x, y; pixels) of a window that holds the head of every triplet: one scale for all sheets."""
    priors = [source.plane(pairing, case_id, "prior") for case_id in source.triplets.get(pairing, {})]
    spans = [_head(prior).max(axis=0) - _head(prior).min(axis=0) + 1 for prior in priors if prior is not None]
    width, height = np.max(spans, axis=0) + 2 * margin
    return int(width), int(height)


def _head(prior: np.ndarray) -> np.ndarray:
    """Pixels of what is not background; of an empty scan all."""
    bright = np.argwhere(prior > 0.02)
    return bright if len(bright) else np.argwhere(np.isfinite(prior))


class Shown:
    """
    A case cut to a window around its head, in radiological display (nose up, the patient's left on the right).

    Args:
        frame: width and height of the window, pixels.
    """

    def __init__(self, source: EvaluationFolder, case: Case, frame: tuple[int, int]) -> None:
        self.prior = source.plane(case.pairing, case.case_id, "prior")
        self.pathology = source.plane(case.pairing, case.case_id, "pathology")
        self.frame = frame
        brain = source.plane(case.pairing, case.case_id, "prior_brain")
        seen = self.prior if brain is None else brain
        self.brain = np.zeros((1, 1), dtype=bool) if seen is None else seen > 0
        head = np.zeros((1, 2)) if self.prior is None else _head(self.prior)
        self.middle = (head.min(axis=0) + head.max(axis=0) + 1) // 2

    def cut(self, plane: np.ndarray) -> np.ndarray:
        """The window of a plane, larger by what makes it as high as a tile, HxW upright."""
        starts = [int(m) - size // 2 for m, size in zip(self.middle, self.frame)]
        padded = np.pad(plane, [(size, size) for size in self.frame])
        window = padded[tuple(slice(s + size, s + 2 * size) for s, size in zip(starts, self.frame))]
        factor = _HEIGHT / self.frame[1]
        large = Image.fromarray(np.ascontiguousarray(upright(window), dtype=np.float32))
        size = (round(self.frame[0] * factor), _HEIGHT)
        return np.asarray(large.resize(size, Image.Resampling.BICUBIC))

    def grey(self, plane: np.ndarray | None) -> np.ndarray | None:
        """HxW in [0, 1]."""
        return None if plane is None else np.clip(self.cut(plane), 0, 1)

    def outlined(self) -> np.ndarray | None:
        """The prior scan with p's outline, HxWx3."""
        if self.prior is None:
            return None
        picture = np.repeat(self.grey(self.prior)[..., None], 3, axis=2)  # type: ignore[index]
        if self.pathology is not None:
            inside = self.cut((self.pathology > 0).astype(np.float32)) > 0.5
            picture[ndimage.binary_dilation(inside, iterations=2) & ~inside] = np.array(_RED) / 255
        return picture

    def difference(self, edit: np.ndarray | None) -> np.ndarray | None:
        """Edit minus prior, HxWx3: red is brighter, blue darker, white no change; black is unchanged background."""
        if edit is None or self.prior is None:
            return None
        scaled = self.cut(edit - self.prior) / (2 * DIFFERENCE) + 0.5
        picture = colormaps["RdBu_r"](np.clip(scaled, 0, 1))[..., :3]
        shown = self.brain | (np.abs(edit - self.prior) > VISIBLE)
        picture[self.cut(shown.astype(np.float32)) < 0.5] = 0
        return picture


def draw_strip(case_id: str, tiles: Sequence[Tile], words: str = "") -> Strip:
    """Tiles side by side under their headings, marked as synthetic at the foot."""
    width = next((tile.picture.shape[1] for tile in tiles if tile.picture is not None), _HEIGHT)
    total = len(tiles) * (width + _GAP) - _GAP
    sheet = Image.new("RGB", (total, _HEIGHT + 2 * _BAND))
    pen = ImageDraw.Draw(sheet)
    for place, tile in enumerate(tiles):
        left = place * (width + _GAP)
        pen.text((left + width // 2, _BAND // 2), tile.name, fill=(235, 235, 235), font=heading_font(13), anchor="mm")
        if tile.picture is None:
            middle = (left + width // 2, _BAND + _HEIGHT // 2)
            pen.text(middle, "not in the folder", fill=(150, 150, 150), font=heading_font(12), anchor="mm")
            continue
        levels = np.rint(np.clip(tile.picture, 0, 1) * 255).astype(np.uint8)
        sheet.paste(Image.fromarray(levels).convert("RGB"), (left, _BAND))
    foot = (8, _HEIGHT + _BAND + _BAND // 2)  # at the left: a narrow page shows the left part first
    pen.text(foot, DISCLAIMER, fill=(190, 190, 190), font=heading_font(11), anchor="lm")
    stream = io.BytesIO()
    sheet.save(stream, format="JPEG", quality=86, subsampling=0, optimize=True, comment=DISCLAIMER.encode())
    source = "data:image/jpeg;base64," + base64.b64encode(stream.getvalue()).decode()
    return Strip(case_id, source, words, *sheet.size)


@lru_cache(maxsize=4)
def heading_font(size: int) -> ImageFont.FreeTypeFont:
    """The font that comes with matplotlib, so that no machine needs one of its own."""
    return ImageFont.truetype(str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"), size)
