# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""What several studies ask of a cohort of ``mededit simulate``: its recipe, its test cases, and who edits them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from mededit_monai.core.errors import InputError
from mededit_monai.core.paths import bundle_root, user_path
from mededit_monai.datasets.evaluation import representative_order
from mededit_monai.diseases import DISEASES
from mededit_monai.diseases.bundle import bundle_disease
from mededit_monai.io.datalist import read_datalist
from mededit_monai.simulation.plan import Case, Recipe, plan_cases

SPLIT = "testing"

#: Fewest test cases that figures and their intervals can be had of.
FEWEST = 3


def recipe_of(cohort: Path, anatomies: str | None, lesions: str | None) -> Recipe:
    """
    The recipe of a cohort of pairs, with the folders that its files do not name.

    Raises:
        InputError: no cohort of pairs of this simulator, or folders that its recipe has and that are missing here.
    """
    place = cohort / "cohort.json"
    if not place.is_file():
        raise InputError(f"{place}: not found; give the folder of a cohort that 'mededit simulate' wrote.")
    try:
        told = dict(json.loads(place.read_bytes())["recipe"])
        told.setdefault("split_seed", told.get("seed", 0))  # before it was an option the seed divided them
        told["counts"] = tuple(told["counts"]) if told.get("counts") else None
        recipe = Recipe(**told)
        recipe.check()
    except (KeyError, TypeError, ValueError) as error:
        why = " ".join(f"{type(error).__name__}: {error}".split()).rstrip(".")
        raise InputError(
            f"{place}: holds no recipe that this version knows ({why}); give the folder of a cohort that 'mededit "
            f"simulate' of this version wrote."
        ) from error
    if recipe.crops or recipe.modalities:
        raise InputError(
            f"{place}: is of crops or of heads, wanted pairs; simulate it without --crops and --modalities."
        )
    folders = {}
    for name, given in (("anatomies", anatomies), ("lesions", lesions)):
        own = getattr(recipe, name)
        if own is not None and given is None:
            raise InputError(f"--{name}: is missing; give the folder '{own}' that {cohort} was made from.")
        folders[name] = None if own is None else str(user_path(str(given)))
    return replace(recipe, **folders)


def test_cases(cohort: Path, recipe: Recipe, most: int, seed: int) -> list[tuple[Case, dict[str, Any]]]:
    """
    The first so many test cases of a cohort, as planned and as listed, in the order of ``mededit evaluate``.

    Raises:
        InputError: fewer than :data:`FEWEST`, or one that the recipe does not plan with these folders.
    """
    listed = {entry["case_id"]: entry for entry in read_datalist(cohort / "datalist.json", SPLIT)}
    if len(listed) < FEWEST:
        raise InputError(f"{cohort}: has {len(listed)} test cases, wanted at least {FEWEST}; simulate more (--counts).")
    planned = {case.case_id: case for case in plan_cases(recipe)[0] if case.split == SPLIT}
    names = representative_order(list(listed.values()), seed)[:most]
    if unknown := [name for name in names if name not in planned]:
        raise InputError(
            f"{cohort}: its recipe plans no case '{unknown[0]}' with these folders; give the folders and the version "
            f"that the cohort was made with."
        )
    return [(planned[name], listed[name]) for name in names]


def bundle_of(disease: str, bundle: str | None) -> str:
    """
    The bundle that edits a cohort's cases: the one asked for, None: that of the cohort's disease.

    Raises:
        InputError: no such bundle, or one about another disease.
    """
    about = disease if bundle is None else bundle_disease(bundle_root(bundle))
    if about != disease:
        raise InputError(
            f"--bundle: '{bundle}' is about '{about}', wanted one about '{disease}' as the cohort is; leave the option "
            f"out."
        )
    return bundle or disease


def require_told(disease: str, condition: str) -> None:
    """
    Refuse regions as the condition of a disease that has none.

    Raises:
        InputError: names the option.
    """
    if condition == "regions" and not DISEASES[disease].labels:
        raise InputError(f"--condition: got 'regions', but lesions of '{disease}' have none; give mask.")
