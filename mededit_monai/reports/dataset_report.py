# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""A page about a prepared data set: its counts, and what its cases look like by lesion size."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader
from PIL import Image, ImageDraw
from scipy import ndimage

from mededit_monai.datasets.prepare_cases import IMAGES
from mededit_monai.datasets.splits import SPLITS, seeded
from mededit_monai.diseases import STRATA
from mededit_monai.diseases.modalities import LABEL_KEY
from mededit_monai.io.nifti import read_array
from mededit_monai.reports.preview import upright
from mededit_monai.synthesis.labels import tumor_of

#: Cases shown of every stratum and of those without lesion.
ACROSS = 8

_OUTLINE = np.array([255, 64, 64], dtype=np.uint8)


def report_page(root: Path, facts: Mapping[str, Any], cases: Sequence[Mapping[str, Any]]) -> str:
    """
    ``report.html``: one page that needs no other file.

    Args:
        root: the prepared data set.
        facts: content of its ``dataset.json``.
        cases: entries of its datalist.
    """
    environment = Environment(
        loader=PackageLoader("mededit_monai.reports"), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    picture = base64.b64encode(montage(root, cases, facts["recipe"]["seed"])).decode()
    return environment.get_template("dataset.html").render(
        facts=facts, picture=picture, strata=STRATA, splits=SPLITS, options=facts["recipe"]
    )


def montage(root: Path, cases: Sequence[Mapping[str, Any]], seed: int) -> bytes:
    """
    PNG of cases drawn at random: a row a stratum, lesions outlined, and a row without lesion; radiological display.

    Of a volume the slice with the most lesion is shown, of one without lesion the middle one.
    """
    rows = []
    for stratum in (*STRATA, None):
        drawn = sorted((c for c in cases if c["stratum"] == stratum), key=lambda c: seeded(seed, c["case_id"]))[:ACROSS]
        if drawn:
            rows.append((stratum or "no lesion", [_tile(root, case) for case in drawn]))
    side, head = rows[0][1][0].shape[0], 16
    sheet = Image.new("RGB", (ACROSS * side, len(rows) * (side + head)))
    for number, (label, tiles) in enumerate(rows):
        top = number * (side + head)
        ImageDraw.Draw(sheet).text((4, top + 2), label, fill=(200, 200, 200))
        for place, tile in enumerate(tiles):
            sheet.paste(Image.fromarray(tile), (place * side, top + head))
    stream = io.BytesIO()
    sheet.quantize(128).save(stream, format="PNG", optimize=True)
    return stream.getvalue()


def _tile(root: Path, case: Mapping[str, Any]) -> np.ndarray:
    """A case as HxWx3 uint8."""
    image = read_array(root / next(case[key] for key in IMAGES if key in case))
    lesion = np.zeros(image.shape, dtype=bool)
    if "pathology" in case:
        lesion = read_array(root / case["pathology"]) > 0
    elif LABEL_KEY in case:
        lesion = tumor_of(read_array(root / case[LABEL_KEY]))
    area = lesion.sum(axis=(0, 1))
    z = int(area.argmax()) if area.any() else image.shape[2] // 2
    grey = np.rint(np.clip(upright(image[:, :, z]), 0, 1) * 255).astype(np.uint8)
    colour = np.repeat(grey[..., None], 3, axis=2)
    mask = upright(lesion[:, :, z])
    colour[ndimage.binary_dilation(mask) & ~mask] = _OUTLINE
    return colour
