# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Images of three arms in a table: discs, of which each arm's have a texture of its own."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import nibabel as nib
import numpy as np
import yaml

SHAPE, VOLUME = (24, 28), (16, 20, 12)
ARMS = ("real", "smooth", "rough")

YES_NO = {0: "synthetic", 1: "real"}
FIVE = {0: "no", 1: "a little", 2: "half", 3: "mostly", 4: "yes"}

DESIGN = {
    "name": "toy",
    "title": "Toy <study>",
    "dims": 2,
    "arms": {
        "real": {"label": "real scans", "real": True, "published": {"realism": 3.2}},
        "smooth": {"label": "Smooth", "published": {"realism": 1.0, "fidelity": 3.0}},
        "rough": {"label": "Rough", "published": {"realism": 2.4, "fidelity": 2.0}},
    },
    "images": 4,
    "repeats": 3,
    "raters": ["anna", "ben"],
    "stages": [
        {
            "title": "Alone",
            "shows": ["image"],
            "scales": {"realism": {"question": "Real?", "values": FIVE}},
        },
        {
            "title": "Beside",
            "shows": ["image", "prior", "mask"],
            "arms": ["smooth", "rough"],
            "scales": {"fidelity": {"question": "Same?", "values": FIVE}},
        },
    ],
}


def write_design(folder: Path, **changes) -> Path:
    """The design of the toy as YAML, with other entries."""
    content = {key: value for key, value in (DESIGN | changes).items() if value is not None}
    path = folder / "toy.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return path


def arrays(arm: str, case: int, shape=SHAPE) -> dict[str, np.ndarray]:
    """A disc of 100 with the arm's texture, a lesion that grows with the number of the case, and its prior."""
    grid = np.meshgrid(*[np.linspace(-1, 1, n) for n in shape], indexing="ij")
    inside = sum(x**2 for x in grid) < 0.7
    rng = np.random.default_rng([ARMS.index(arm), case])
    grain = {"real": 8.0, "smooth": 0.0, "rough": 25.0}[arm]
    prior = np.where(inside, 100 + grain * rng.standard_normal(shape), 0)
    lesion = sum((x - 0.2) ** 2 for x in grid) < 0.02 * (case + 2)
    return {"image": np.where(lesion, 30, prior), "prior": prior, "mask": lesion.astype(float)}


def write_images(folder: Path, cases: int = 6, shape=SHAPE, spacing: float = 2.0) -> Path:
    """``images.csv`` with as many cases of every arm, and their files."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for arm in ARMS:
        for case in range(cases):
            names = {}
            for part, array in arrays(arm, case, shape).items():
                names[part] = f"{arm}_{case}_{part}.nii"
                whole = array.reshape(*shape, *(1,) * (3 - len(shape))).astype(np.float32)
                nib.save(nib.Nifti1Image(whole, np.diag([spacing] * 3 + [1])), folder / names[part])
            rows.append([f"person_{case}", arm, *names.values()])
    path = folder / "images.csv"
    with open(path, "w", newline="") as stream:
        csv.writer(stream).writerows([["case", "arm", "image", "prior", "mask"], *rows])
    return path


def parts_of(page: Path) -> tuple[dict, dict]:
    """What a page's two script elements hold: facts and pictures."""
    text = page.read_text()
    found = []
    for name in ("facts", "pictures"):
        start = f'<script type="application/json" id="{name}">'
        found.append(json.loads(text.partition(start)[2].partition("</script>")[0]))
    return found[0], found[1]
