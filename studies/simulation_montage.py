# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""A montage of simulated slices in radiological display."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from mededit_monai.io.atomic import replacing
from mededit_monai.io.provenance import DISCLAIMER
from mededit_monai.reports.preview import upright


def save_montage(cases: list[dict], path: str | Path, title: str, across: int = 20) -> None:
    """
    Write 50 pairs as 100 slices: without and with the lesion side by side.

    Args:
        cases: each with ``prior``, ``image`` (128x128 in [0, 1]) and ``pathology`` (bool).
        path: 8-bit grey PNG, written whole or not at all.
        across: slices in a row, even.
    """
    tiles = []
    for case in cases[:50]:
        tiles += [case["prior"], case["image"]]
    side = 128
    rows = -(-len(tiles) // across)
    sheet = Image.new("L", (across * side, rows * side + 18))
    for number, tile in enumerate(tiles):
        cut = (128 - side) // 2
        pixels = np.rint(np.clip(upright(tile)[cut : cut + side, cut : cut + side], 0, 1) * 255).astype(np.uint8)
        sheet.paste(Image.fromarray(pixels), ((number % across) * side, (number // across) * side))
    note = f"{title}: pairs without (left) and with the lesion (right), simulated. {DISCLAIMER}"
    ImageDraw.Draw(sheet).text((6, rows * side + 3), note, fill=170)
    with replacing(path) as unfinished:
        sheet.quantize(64).save(unfinished, format="PNG", optimize=True)
