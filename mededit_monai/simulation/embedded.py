# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""The embedded cohort: pairs drawn from the template alone, enough to train a bundle with no data at hand."""

from __future__ import annotations

from pathlib import Path

from mededit_monai.simulation.plan import Recipe
from mededit_monai.simulation.simulate import SIMULATOR_VERSION, simulate_cohort


def write_embedded_cohort(
    root: str | Path, disease: str, cases: int, validation: int, seed: int, progress: bool = True
) -> Path:
    """
    Write the embedded cohort once and return its datalist; a second call with the same arguments reads it back.

    Args:
        root: cache folder; the cohort gets a folder of its own in it, named by disease, version, size and seed.
        cases: training cases.
        validation: validation cases (same template, other persons and lesions: ``mededit simulate --anatomies`` splits
            by anatomy).
        seed: case k of a list depends on (seed, list, k) only, whatever the size of the cohort.

    Returns:
        path of ``datalist.json`` (keys of the interface, relative paths, lists ``training`` and ``validation``).
    """
    folder = Path(root) / f"embedded_{disease}_v{SIMULATOR_VERSION}_{cases}+{validation}_seed{seed}"
    datalist = folder / "datalist.json"
    if not datalist.is_file():
        recipe = Recipe(disease, cases + validation, seed=seed, counts=(cases, validation, 0))
        simulate_cohort(recipe, folder, progress=progress)
    return datalist
