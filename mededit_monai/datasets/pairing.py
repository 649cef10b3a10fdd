# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Triplets to edit: a scan without lesion, its brain mask, and the pathology mask of a test case."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mededit_monai import __version__
from mededit_monai.core.errors import InputError, require_choice, require_whole
from mededit_monai.core.paths import user_path
from mededit_monai.datasets.dataset_facts import NOTE
from mededit_monai.datasets.splits import seeded
from mededit_monai.diseases import STRATA
from mededit_monai.io.atomic import json_bytes
from mededit_monai.io.datalist import CUT_KEYS, FILE_KEYS, read_datalist
from mededit_monai.io.hashing import sha256
from mededit_monai.io.nifti import read_array
from mededit_monai.io.outputs import require_apart, require_writable, write_output

PAIRINGS = ("thesis", "paired")

#: A triplet whose mask lies outside the prior's brain by more than this share is counted as a warning.
WARN_OUTSIDE = 0.1

#: What a triplet takes from the case with the mask; with ``paired`` also the truth.
_MASK_KEYS = ("pathology", "regions")
_TRUTH_KEYS = ("image", "brain", "ventricles", "prior_ventricles", "tissue", "prior_tissue", "displacement")


def pair_cases(
    datalist: str | Path,
    output: str | Path,
    pairing: str = "thesis",
    per_mask: int = 1,
    seed: int = 0,
    overwrite: bool = False,
) -> dict[str, Any]:
    """
    Write triplets as a datalist for editing, see :func:`triplets_of`.

    Args:
        output: JSON to write; its paths are relative to it.
        overwrite: whether another list that mededit wrote there may be replaced.

    Returns:
        what was counted: ``triplets``, ``strata``, ``priors_used``, ``warnings`` (mask more than 10 % outside the
        brain), ``partly_outside`` and ``largest_outside_share``.

    Raises:
        InputError: as :func:`triplets_of`, or a file that is an input or not ours in the output's place.
    """
    datalist, output = user_path(datalist), user_path(output)
    _require_place(datalist, output)
    content = triplets_of(datalist, output.parent, pairing, per_mask, seed)
    write_output(output, json_bytes(content), overwrite)
    counts: dict[str, Any] = content["counts"]
    return counts


def triplets_of(
    datalist: str | Path,
    folder: str | Path,
    pairing: str = "thesis",
    per_mask: int = 1,
    seed: int = 0,
    among: Collection[str] | None = None,
) -> dict[str, Any]:
    """
    Triplets as the content of a datalist for editing.

    ``thesis``: every mask of the list ``testing`` goes with ``per_mask`` scans without lesion of other patients (of
    simulated cases: of other anatomies), drawn at random from ``lesion_free_testing`` or, where there is no such list,
    from the priors of ``testing``. All anatomies or patients are drawn equally often, as far as can be, and a scan
    again only after all others of its anatomy, within each size stratum by itself. Where there are scans of the mask's
    own slice index, only these are drawn. ``paired``: prior, mask and truth (``image``) of the same simulated case.

    Args:
        datalist: of a prepared data set or a simulated cohort.
        folder: that the list will lie in; paths are relative to it.
        seed: of the draws.
        among: the cases of ``testing`` whose masks and priors are taken; None: all.

    Raises:
        InputError: a list or file that is missing or damaged, or too few priors.
    """
    require_choice("pairing", pairing, PAIRINGS)
    require_whole("per_mask", per_mask, 1)
    require_whole("seed", seed, 0)
    cases = [case for case in read_datalist(datalist, "testing") if among is None or case["case_id"] in among]
    for case in cases:
        _require_files(case, ("pathology",), datalist)
    masks = sorted(cases, key=lambda c: (_stratum(c), seeded(seed, "mask", c["case_id"])))
    if pairing == "paired":
        if per_mask != 1:
            raise InputError(f"--per_mask: got {per_mask}, but --pairing paired has one truth a mask; wanted 1.")
        triplets = [_same_case(case, datalist) for case in cases]
    else:
        priors = [prior for prior in _priors(datalist) if among is None or prior["case_id"] in among]
        triplets = _drawn(masks, priors, per_mask, seed, datalist)
    return {
        "name": f"triplets ({pairing})",
        "description": f"Prior scan, its brain mask, a test pathology mask. mededit_monai {__version__}. {NOTE}",
        "pairing": pairing,
        "per_mask": per_mask,
        "seed": seed,
        "datalist": Path(datalist).name,
        "datalist_sha256": sha256(datalist),
        "counts": _counts(triplets),
        "testing": [_relative(triplet, Path(folder)) for triplet in triplets],
    }


def _require_place(datalist: Path, output: Path) -> None:
    """Refuse a place that cannot be written to, before anything is computed."""
    if output.exists():  # what is not there yet is no input
        files = {case[key] for case in read_datalist(datalist) for key in FILE_KEYS if case.get(key)}
        require_apart(output, [datalist, *files])
    require_writable(output, overwrite=True)  # whether our own list may be replaced, its content decides


def outside_share(pathology: np.ndarray, brain: np.ndarray) -> float:
    """Share of a mask's pixels that lie outside a brain mask of the same shape."""
    marked = pathology > 0
    return float(1 - (marked & (brain > 0)).sum() / marked.sum())


class Deck:
    """
    Priors that are dealt in a random order of the seed, from all anatomies (else patients) equally often; one is dealt
    again only when all others of its anatomy have been.

    Args:
        priors: cases.
        seed: of the order.
        name: of the deck; decks of other names have other orders.
    """

    def __init__(self, priors: Sequence[Mapping[str, Any]], seed: int, name: str) -> None:
        self._order = sorted(priors, key=lambda c: seeded(seed, name, c["case_id"]))
        self._times = {case["case_id"]: 0 for case in priors}
        self._of_person = {_person(case): 0 for case in priors}

    def by_turn(self, mask: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        """
        Priors for a mask, best first: of other patients, and of other anatomies if there are several; those of its
        slice, if any; of people dealt least, then those dealt least, in order.
        """
        patients = [case for case in self._order if case.get("patient") != mask.get("patient")]
        others = [case for case in patients if _person(case) != _person(mask)] or patients
        index = mask.get("slice_index")
        level = [case for case in others if index is not None and case.get("slice_index") == index]
        return sorted(level or others, key=lambda c: (self._of_person[_person(c)], self._times[c["case_id"]]))

    def take(self, case: Mapping[str, Any]) -> None:
        """Count a case as dealt."""
        self._times[case["case_id"]] += 1
        self._of_person[_person(case)] += 1


def _person(case: Mapping[str, Any]) -> Any:
    """Whose brain a case shows: simulated patients share their anatomies."""
    return case.get("anatomy") or case.get("patient")


def _drawn(
    masks: Sequence[Mapping[str, Any]], priors: list[dict], per_mask: int, seed: int, datalist: str | Path
) -> list[dict]:
    decks = {stratum: Deck(priors, seed, stratum) for stratum in {_stratum(mask) for mask in masks}}
    brains: dict[str, np.ndarray] = {}
    triplets = []
    for mask in masks:
        deck, chosen = decks[_stratum(mask)], 0
        pathology = _mask(mask["pathology"])
        for prior in deck.by_turn(mask):
            if chosen == per_mask:
                break
            if prior["prior_brain"] not in brains:
                brains[prior["prior_brain"]] = read_array(prior["prior_brain"])
            brain = brains[prior["prior_brain"]]
            _require_same_shape(mask["pathology"], pathology, prior["prior_brain"], brain)
            share = outside_share(pathology, brain)
            if share == 1:  # the editor would refuse it
                continue
            deck.take(prior)
            chosen += 1
            triplets.append(_triplet(mask, prior, share))
        if chosen < per_mask:
            raise InputError(
                f"{datalist}: has {chosen} scans without lesion for the mask '{mask['case_id']}' (of other patients, "
                f"with brain under the mask), wanted {per_mask}; prepare more slices or lower --per_mask."
            )
    return triplets


def _triplet(mask: Mapping[str, Any], prior: Mapping[str, Any], share: float) -> dict[str, Any]:
    facts = {
        "case_id": f"{prior['case_id']}__with__{mask['case_id']}",
        "patient": prior.get("patient"),
        "lesion_id": mask.get("lesion_id"),
        "split": "testing",
        "stratum": mask.get("stratum"),
        "outside_share": round(share, 6),
        "prior_case": prior["case_id"],
        "mask_case": mask["case_id"],
    }
    facts |= {key: prior[key] for key in ("prior", "prior_brain")}
    return facts | {key: mask[key] for key in _MASK_KEYS if mask.get(key)}


def _same_case(case: Mapping[str, Any], datalist: str | Path) -> dict[str, Any]:
    _require_files(case, ("prior", "prior_brain", "image"), datalist)
    pathology, brain = _mask(case["pathology"]), read_array(case["prior_brain"])
    _require_same_shape(case["pathology"], pathology, case["prior_brain"], brain)
    share = outside_share(pathology, brain)
    triplet = _triplet(case, case, share) | {"case_id": case["case_id"]}
    return triplet | {key: case[key] for key in (*_TRUTH_KEYS, *CUT_KEYS) if case.get(key) is not None}


def lesion_free(cases: Sequence[dict]) -> list[dict]:
    """Those of cases that have a scan without lesion and no mask: scans of people of their own, not halves of pairs."""
    return [case for case in cases if case.get("prior") and not case.get("pathology")]


def _priors(datalist: str | Path) -> list[dict]:
    """Scans without lesion of the test split."""
    found = [case for case in read_datalist(datalist) if case.get("prior") and case.get("split") == "testing"]
    alone = lesion_free(found)
    for case in alone or found:
        _require_files(case, ("prior", "prior_brain"), datalist)
    if not found:
        raise InputError(f"{datalist}: has no scan without lesion in its test split; prepare it with more slices.")
    return alone or found


def _require_files(case: Mapping[str, Any], keys: Sequence[str], datalist: str | Path) -> None:
    for key in keys:
        if not case.get(key):
            raise InputError(f"{datalist}: case '{case['case_id']}' has no '{key}'; this pairing needs it.")
        if not Path(case[key]).is_file():
            raise InputError(f"{case[key]}: not found ('{key}' of case '{case['case_id']}' in {datalist}).")


def _counts(triplets: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    shares = [triplet["outside_share"] for triplet in triplets]
    return {
        "triplets": len(triplets),
        "strata": {s: sum(triplet["stratum"] == s for triplet in triplets) for s in STRATA},
        "priors_used": len({triplet["prior_case"] for triplet in triplets}),
        "warnings": sum(share > WARN_OUTSIDE for share in shares),
        "partly_outside": sum(share > 0 for share in shares),
        "largest_outside_share": max(shares),
    }


def _stratum(case: Mapping[str, Any]) -> str:
    return str(case.get("stratum"))


def _relative(triplet: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    return {k: Path(os.path.relpath(v, folder)).as_posix() if k in FILE_KEYS else v for k, v in triplet.items()}


def _mask(path: str) -> np.ndarray:
    mask = read_array(path)
    if not (mask > 0).any():
        raise InputError(f"{path}: is empty (every voxel is 0), wanted a lesion; take the case out of the list.")
    return mask


def _require_same_shape(path: str, pathology: np.ndarray, brain_path: str, brain: np.ndarray) -> None:
    if brain.shape != pathology.shape:
        raise InputError(
            f"{path}: has shape {pathology.shape}, but {brain_path} has {brain.shape}; prepare both with the same "
            f"options."
        )
