# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""
Best, median and worst cases of a row of an evaluation as one PNG.

    python -m studies.cases_picture --folder out/evaluation --row release_mask_prior -o cases.png
"""

from __future__ import annotations

import argparse
import base64
import io
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from PIL import Image, ImageDraw, PngImagePlugin

from mededit_monai.core.errors import InputError, exit_on_bad_input, require_whole
from mededit_monai.core.paths import user_path
from mededit_monai.core.program import run_program
from mededit_monai.io.outputs import write_output
from mededit_monai.io.provenance import DISCLAIMER
from mededit_monai.reports.evaluation_folder import EvaluationFolder
from mededit_monai.reports.evaluation_sheets import RANKED_BY, Strip, contact_sheet, heading_font

#: Height of the heading above a strip, and the space between strips, pixels.
_HEADING, _GAP = 24, 10


def save_cases(
    folder: str | Path,
    row: str,
    path: str | Path,
    pairing: str = "paired",
    each: int = 1,
    columns: int = 1,
    overwrite: bool = False,
) -> Path:
    """
    Draw a row's best, median and worst cases.

    Args:
        folder: of ``mededit evaluate``; row: as in ``metrics.csv``.
        path: of the PNG.
        pairing: ``paired`` (ranked by the error in M∖p) or ``thesis`` (by Dice).
        each: cases of each rank; columns: cases side by side.
        overwrite: whether another picture of ours may be replaced.

    Raises:
        InputError: a folder that is none of an evaluation, no picture of that row in reach, or a file in the way.
    """
    require_whole("each", each, 1, most=1000)
    require_whole("columns", columns, 1, most=1000)
    path = user_path(path)
    strips = contact_sheet(EvaluationFolder(folder), row, pairing, each)
    if not strips:
        raise InputError(f"{folder}: holds no edits of the row '{row}' ({pairing}); see its metrics.csv for the rows.")
    sheet = drawn(strips, columns)
    note = PngImagePlugin.PngInfo()
    note.add_text("Description", DISCLAIMER)
    stream = io.BytesIO()
    sheet.save(stream, format="PNG", optimize=True, pnginfo=note)
    write_output(path, stream.getvalue(), overwrite)
    return path


def drawn(strips: Mapping[str, Sequence[Strip]], columns: int = 1) -> Image.Image:
    """Strips by rank on one picture, each under its rank, figure and name."""
    flat = [(rank, strip) for rank, members in strips.items() for strip in members]
    width = max(strip.width for _, strip in flat)
    height = max(strip.height for _, strip in flat) + _HEADING + _GAP
    rows = -(-len(flat) // columns)
    sheet = Image.new("RGB", (columns * (width + _GAP) - _GAP, rows * height - _GAP), "white")
    pen = ImageDraw.Draw(sheet)
    for place, (rank, strip) in enumerate(flat):
        left, top = place % columns * (width + _GAP), place // columns * height
        words = " ".join(f"{rank.capitalize()}: {strip.words} · {strip.case_id}".split())  # a picture has no lines
        pen.text((left + 2, top + _HEADING // 2), words, fill=(40, 40, 40), font=heading_font(13), anchor="lm")
        picture = base64.b64decode(strip.source.split(",", 1)[1])
        sheet.paste(Image.open(io.BytesIO(picture)), (left, top + _HEADING))
    return sheet


def main(words: Sequence[str] | None = None) -> int:
    """Command line of the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", required=True, help="of mededit evaluate")
    parser.add_argument("--row", required=True, help="as in its metrics.csv")
    parser.add_argument("--pairing", default="paired", choices=sorted(RANKED_BY))
    parser.add_argument("--each", type=int, default=1, help="cases of each rank")
    parser.add_argument("--columns", type=int, default=1, help="cases side by side")
    parser.add_argument("--output", "-o", default="cases.png")
    parser.add_argument("--overwrite", action="store_true", help="replace a picture that this program wrote")
    given = parser.parse_args(words)
    with exit_on_bad_input():
        wanted = (given.pairing, given.each, given.columns, given.overwrite)
        print(save_cases(given.folder, given.row, given.output, *wanted))
    return 0


if __name__ == "__main__":
    run_program(lambda: sys.exit(main()))
