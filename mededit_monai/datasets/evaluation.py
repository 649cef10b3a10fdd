# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""The cases of a cohort that an evaluation edits, and the triplets that ``mededit evaluate`` makes of a cohort."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from mededit_monai.core.errors import InputError, require_choice
from mededit_monai.core.paths import user_path
from mededit_monai.datasets.pairing import PAIRINGS, lesion_free, triplets_of
from mededit_monai.datasets.splits import seeded
from mededit_monai.diseases import DISEASES, STRATA
from mededit_monai.io.atomic import write_json
from mededit_monai.io.datalist import CUT_KEYS, read_datalist
from mededit_monai.io.outputs import make_folder

#: What a case with known truth must hold; ``ventricles`` and ``prior_ventricles`` too, where they are measured.
PAIRED_KEYS = ("prior", "image", "brain", "pathology", "prior_ventricles", "ventricles")

#: What a triplet must hold: scan without lesion, its brain, a pathology mask.
TRIPLET_KEYS = ("prior", "brain", "pathology")

#: Names of a case that results keep.
NAMES = ("case_id", "patient", "anatomy", "stratum")


def evaluation_cases(
    datalist: str | Path | None,
    dataset_dir: str | Path | None,
    split: str,
    limit: int | None,
    condition: str,
    pairing: str = "paired",
) -> list[dict]:
    """
    Cases of a split, reduced to files and names.

    Args:
        datalist, dataset_dir: a cohort's list or one of triplets, or the folder with ``datalist.json`` in it.
        split: name of the list, ``testing`` for held-out anatomies and lesions.
        limit: the first so many cases; None for all.
        condition: ``regions`` wants the key of that name too.
        pairing: ``paired``: the truth is known and wanted, ``displacement`` too where all cases have one; ``thesis``:
            scan and mask may be of different people, the brain mask is the scan's (``prior_brain``), and nothing of the
            truth is kept. Slices that were cut from volumes keep what says so, where all cases have it.

    Raises:
        InputError: neither given, no such list, or a case without one of the files.
    """
    require_choice("pairing", pairing, PAIRINGS)
    if datalist is None and dataset_dir is None:
        raise InputError(
            "--datalist: is missing; give the list of a paired cohort, for example what 'mededit simulate' writes."
        )
    place = datalist if datalist is not None else user_path(str(dataset_dir)) / "datalist.json"
    cases = read_datalist(place, split)[:limit]
    keys = PAIRED_KEYS if pairing == "paired" else TRIPLET_KEYS
    keys = (*keys, *(["regions"] if condition == "regions" or "regions" in cases[0] else []))
    for case in cases:
        if pairing == "thesis":
            case["brain"] = case.get("prior_brain") or case.get("brain")
        for key in keys:
            if not case.get(key):
                wanted = "a paired cohort" if pairing == "paired" else "a scan without lesion, its brain and a mask"
                raise InputError(f"{place}: case '{case['case_id']}' has no '{key}'; evaluation wants {wanted}.")
            if not Path(case[key]).is_file():
                raise InputError(f"{case[key]}: not found ('{key}' of case '{case['case_id']}' in {place}).")
    names = [name for name in NAMES if all(case.get(name) is not None for case in cases)]
    moved = pairing == "paired" and all(case.get("displacement") for case in cases)
    keys = (*keys, *(["displacement"] if moved else []))
    if pairing == "paired" and all(case.get("volume_prior") for case in cases):
        keys = (*keys, *(key for key in CUT_KEYS if cases[0].get(key) is not None))
    return [{key: case[key] for key in (*names, *keys)} for case in cases]


def cohort_facts(cohort: str | Path) -> dict[str, Any]:
    """
    What a cohort is: ``name``, ``disease``, ``recipe``, ``synthetic``, ``spatial_dims`` (2: slices, 3: volumes),
    whether its test cases have a known truth, and their ``anatomies``.

    Args:
        cohort: folder of ``mededit simulate`` or ``mededit dataset``.

    Raises:
        InputError: no datalist, no test list, or a recipe that names no disease.
    """
    place = user_path(cohort) / "datalist.json"
    if not place.is_file():
        raise InputError(
            f"{place}: not found; give the folder of a cohort that 'mededit simulate' or 'mededit dataset' wrote."
        )
    cases = read_datalist(place, "testing")
    content = json.loads(place.read_bytes())
    recipe = content.get("recipe") if isinstance(content, dict) else None
    recipe = recipe if isinstance(recipe, dict) else {}
    disease = recipe.get("disease")
    if not isinstance(disease, str) or disease not in DISEASES:
        raise InputError(f"{place}: its recipe names the disease {disease!r}, wanted one of {', '.join(DISEASES)}.")
    return {
        "name": str(content.get("name") or user_path(cohort).resolve().name),
        "disease": disease,
        "recipe": recipe,
        "spatial_dims": 3 if recipe.get("spatial_dims") == 3 else 2,
        "simulator_version": content.get("simulator_version"),
        "synthetic": bool(content.get("synthetic", False)),
        "paired": all(case.get(key) for case in cases for key in PAIRED_KEYS),
        "testing": len(cases),
        "anatomies": sorted({str(case["anatomy"]) for case in cases if case.get("anatomy")}),
    }


def representative_order(cases: Sequence[Mapping[str, Any]], seed: int) -> list[str]:
    """
    Names of cases in an order of which every beginning has the size strata in about the proportions of the whole.

    Within a stratum the order is random; case k of n of a stratum stands at (k + ½) / n. More cases asked for keep
    those that fewer had.
    """
    place: dict[str, float] = {}
    for stratum in {str(case.get("stratum")) for case in cases}:
        members = [case["case_id"] for case in cases if str(case.get("stratum")) == stratum]
        members.sort(key=lambda name: seeded(seed, "evaluation", name))
        place |= {name: (k + 0.5) / len(members) for k, name in enumerate(members)}
    return sorted(place, key=lambda name: (place[name], name))


#: Fewer test cases than that are not halved.
FEWEST_HALVED = 4


def edited_half(cohort: str | Path, seed: int) -> list[str] | None:
    """
    The half of a cohort's test cases whose masks and priors are edited where realism is measured, so that no image that
    edits are compared with is of a case that they were made from; None where priors are of people of their own.

    Every anatomy and size stratum is halved by itself, at random.

    Args:
        cohort: folder with ``datalist.json``; seed: of the draw.
    """
    cases = read_datalist(user_path(cohort) / "datalist.json")
    testing = [case for case in cases if case.get("split") == "testing"]
    pairs = [case for case in testing if case.get("pathology") and case.get("prior")]
    if len(pairs) < FEWEST_HALVED or lesion_free(testing):
        return None
    order = sorted(pairs, key=lambda c: (group_of(c), str(c.get("stratum")), seeded(seed, "edited half", c["case_id"])))
    return [case["case_id"] for case in order[::2]]


def write_triplets(
    cohort: str | Path,
    output: Path,
    pairing: str,
    cases: int | None,
    seed: int,
    among: Collection[str] | None = None,
) -> dict[str, Any]:
    """
    Pair a cohort's test masks with scans and keep a representative part; the same masks for either pairing.

    Args:
        cohort: folder with ``datalist.json``.
        output: JSON to write, in the form of :func:`~mededit_monai.datasets.pairing.triplets_of`.
        cases: how many masks; None, or more than there are, for all.
        seed: of the draws of scans and masks.
        among: the test cases that masks and scans are taken from; None: all.

    Returns:
        ``triplets``, ``strata``, ``groups`` (anatomies, else patients, of the scans), ``available`` masks and
        ``partly_outside``.

    Raises:
        InputError: a list or file that is missing, or too few scans.
    """
    datalist = user_path(cohort) / "datalist.json"
    content = triplets_of(datalist, output.parent, pairing, seed=seed, among=among)
    known = {case["case_id"]: case for case in read_datalist(datalist)}
    by_mask = {triplet["mask_case"]: triplet for triplet in content["testing"]}
    masks = [case for case in read_datalist(datalist, "testing") if case["case_id"] in by_mask]
    triplets = [by_mask[name] for name in representative_order(masks, seed)[:cases]]
    for triplet in triplets:
        anatomy = known[triplet["prior_case"]].get("anatomy")
        triplet |= {} if anatomy is None else {"anatomy": anatomy}
    counts = {
        "triplets": len(triplets),
        "strata": {s: sum(t.get("stratum") == s for t in triplets) for s in STRATA},
        "groups": len({group_of(t) for t in triplets}),
        "available": len(content["testing"]),
        "partly_outside": sum(t["outside_share"] > 0 for t in triplets),
    }
    content |= {"counts": counts, "testing": triplets}
    make_folder(output.parent)
    write_json(output, content)  # in one go: several shards may start at once
    return counts


def group_of(case: Mapping[str, Any]) -> str:
    """Who a case belongs to: its anatomy, which simulated patients share, else its patient, else itself."""
    return str(case.get("anatomy") or case.get("patient") or case["case_id"])


def real_images(cohort: str | Path, without: Collection[str] = ()) -> list[dict[str, Any]]:
    """
    The real (or simulated) pathological test slices that edits are compared with: ``image``, ``brain``, ``group``.

    Args:
        without: cases that edits were made from.

    Raises:
        InputError: a test case without image or brain mask.
    """
    place = user_path(cohort) / "datalist.json"
    found = []
    for case in (case for case in read_datalist(place, "testing") if case["case_id"] not in without):
        for key in ("image", "brain"):
            if not case.get(key):
                raise InputError(f"{place}: case '{case['case_id']}' has no '{key}'; realism is measured against it.")
        found.append({"image": case["image"], "brain": case["brain"], "group": group_of(case)})
    return found
