# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""The verbs that make data, on toys: simulate, dataset, lesion and pairs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from conftest import write_head
from datasets.downloads import atlas_tree
from simulation.small_brains import label_maps, lesion_masks

from mededit_monai.core.errors import InputError
from mededit_monai.datasets.pairing import pair_cases
from mededit_monai.datasets.prepare_dataset import prepare_dataset
from mededit_monai.datasets.recipe import DatasetRecipe
from mededit_monai.simulation.drawing import draw_lesion
from mededit_monai.simulation.plan import Recipe
from mededit_monai.simulation.simulate import simulate_cohort

VERBS = ("simulate", "dataset", "lesion", "pairs")

#: Verbs that write a folder, with files of it; verbs that write a file, with its name.
FOLDERS = {
    "simulate": ("training_00000/image.nii", "datalist.json"),
    "dataset": ("cases/sub-r001s001_z004/image.nii", "datalist.json"),
}
FILES = {"lesion": "lesion.nii.gz", "pairs": "triplets.json"}


def write_inputs(root: Path) -> Path:
    """What the verbs read."""
    label_maps(root / "anatomies", 1)
    lesion_masks(root / "lesions", 3)
    atlas_tree(root / "atlas", [4, 6, 8, 5])
    write_head(root / "head")
    return root


def run(verb: str, inputs: Path | str, out: Path | str, cohort: Path | None = None, **options: Any) -> Any:
    """Run a verb on toys; ``out`` is the folder, of the file too."""
    if verb == "simulate":
        given = {key: options.pop(key) for key in ("anatomies", "lesions", "seed", "cases", "layout") if key in options}
        recipe = Recipe(**({"cases": 3, "anatomies": f"{inputs}/anatomies", "slice": "mid"} | given))
        return simulate_cohort(recipe, out, progress=False, **options)
    if verb == "dataset":
        given = {key: options.pop(key) for key in ("root", "brains", "validation", "seed") if key in options}
        recipe = DatasetRecipe(
            "atlas", **({"root": f"{inputs}/atlas", "slice_index": 4, "test": 1, "validation": 0.2} | given)
        )
        return prepare_dataset(recipe, out, progress=False, **options)
    if verb == "lesion":
        given = {"scan": f"{inputs}/head/scan.nii.gz", "output": f"{out}/{FILES[verb]}", "radius": 8.0}
        return draw_lesion(**(given | options))
    given = {"datalist": f"{cohort}/datalist.json", "output": f"{out}/{FILES[verb]}", "pairing": "paired"}
    return pair_cases(**(given | options))


def refused(words: str, *arguments: Any, **options: Any) -> str:
    """A run ends in one sentence with these words; returns it."""
    with pytest.raises(InputError) as caught:
        run(*arguments, **options)
    sentence = str(caught.value)
    assert words in sentence and sentence.endswith((".", "Nothing was written.")), sentence
    assert "\n" not in sentence
    return sentence


def content(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}


def place_of(verb: str, out: Path) -> list[Path]:
    return [out / name for name in FOLDERS[verb]] if verb in FOLDERS else [out / FILES[verb]]
