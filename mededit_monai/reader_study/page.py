# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""The page that raters see: one HTML file that holds everything and asks no other machine for anything."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from jinja2 import Environment, PackageLoader

from mededit_monai.reader_study.blinding import Item
from mededit_monai.reader_study.design import Design
from mededit_monai.reader_study.pictures import Plane

#: Raised whenever the exported ratings are written in another form.
RATINGS_VERSION = 1


def rating_page(
    design: Design,
    study: str,
    key_sha256: str,
    items: Sequence[Item],
    orders: Mapping[str, list[list[str]]],
    pictures: Mapping[str, Mapping[str, list[bytes]]],
    planes: Sequence[Plane],
) -> str:
    """
    ``rating.html``.

    Nothing of it depends on what an image is but its pixels: no name of an arm, case or file is in it, codes are in
    alphabetical order, and all pictures of a part have as many bytes.

    Args:
        study, key_sha256: of the key; every export names them.
        items: of all stages; orders: rater → stage → codes.
        pictures: code → part → a PNG for each plane.
    """
    require_one_size(pictures)
    stages = [
        {
            "title": stage.title,
            "text": stage.text,
            "shows": list(stage.shows),
            "scales": [
                {
                    "name": s.name,
                    "label": s.label,
                    "question": s.question,
                    "values": [list(v) for v in s.values.items()],
                }
                for s in stage.scales
            ],
        }
        for stage in design.stages
    ]
    facts: dict[str, Any] = {
        "version": RATINGS_VERSION,
        "study": study,
        "key_sha256": key_sha256,
        "design": design.name,
        "title": design.title,
        "stages": stages,
        "planes": [asdict(plane) for plane in planes],
        "orders": {rater: [list(codes) for codes in order] for rater, order in orders.items()},
    }
    encoded = {
        item.code: {k: [base64.b64encode(p).decode() for p in v] for k, v in pictures[item.code].items()}
        for item in sorted(items, key=lambda item: item.code)
    }
    environment = Environment(loader=PackageLoader("mededit_monai.reports"), autoescape=True)
    return environment.get_template("rating.html").render(
        title=design.title, facts=_script_json(facts), pictures=_script_json(encoded)
    )


def require_one_size(pictures: Mapping[str, Mapping[str, list[bytes]]]) -> None:
    """
    Are all files of a part as long?

    Raises:
        AssertionError: they are not, a fault of the program.
    """
    for part in {part for one in pictures.values() for part in one}:
        sizes = {tuple(map(len, one[part])) for one in pictures.values() if part in one}
        if len(sizes) > 1:
            raise AssertionError(f"pictures of '{part}' have {len(sizes)} sizes, which would tell them apart.")


def _script_json(content: Any) -> str:
    """JSON that can stand in a script element, whatever texts are in it."""
    text = json.dumps(content, ensure_ascii=True, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
