# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""What a prepared data set holds: strata and splits of its cases, its datalist, and every count."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mededit_monai import __version__
from mededit_monai.core.errors import InputError
from mededit_monai.datasets.recipe import DatasetRecipe
from mededit_monai.datasets.splits import SPLITS, PatientSlices, quartile_bounds, split_patients, stratum_of
from mededit_monai.diseases import DISEASES, STRATA

NOTE = "Research use only, not a medical device."

#: Slices that the thesis found: with pathology, and small / medium / large among them.
THESIS_COUNTS = {"atlas": (443, (111, 221, 111)), "brats": (1063, (265, 527, 265))}


@dataclass
class Splits:
    """
    Args:
        cases: entries of the datalist; ``split`` and ``stratum`` (None without pathology) are among their keys.
        bounds: of the medium stratum in model pixels.
        wanted: slices with pathology that the test list should have.
    """

    cases: list[dict[str, Any]]
    bounds: tuple[float, float]
    wanted: int

    def of(self, split: str, lesion_free: bool) -> list[dict[str, Any]]:
        """Entries of one list."""
        return [c for c in self.cases if c["split"] == split and (c["stratum"] is None) == lesion_free]


def strata_and_splits(recipe: DatasetRecipe, records: Sequence[Mapping[str, Any]]) -> Splits:
    """
    Sort the cases of all volumes into strata and splits.

    Args:
        records: what :func:`~mededit_monai.datasets.prepare_cases.make_volume` returned.

    Raises:
        InputError: if no case shows pathology, or more are wanted for testing than there are.
    """
    found: dict[str, list[dict]] = {}
    for record in records:
        found.setdefault(record["patient"], []).extend(record["cases"])
    patients = {
        patient: PatientSlices(
            tuple(case["size_px"] for case in cases if case["size_px"]),
            sum(not case["size_px"] for case in cases),
        )
        for patient, cases in found.items()
        if cases
    }
    sizes = [size for slices in patients.values() for size in slices.sizes]
    if not sizes:
        raise InputError(f"{recipe.root}: no slice asked for shows pathology; choose another --slice_index, or 'all'.")
    bounds, wanted = quartile_bounds(sizes), recipe.wanted_test(len(sizes))
    split = split_patients(patients, bounds, wanted, recipe.validation, recipe.seed)
    cases = []
    for record in records:
        for case in record["cases"]:
            lesion = bool(case["size_px"])
            facts = {"case_id": case["case_id"], "patient": record["patient"]}
            facts |= {"lesion_id": record["volume_id"]} if lesion else {}
            facts |= {"split": split[record["patient"]]}
            facts |= {"stratum": stratum_of(case["size_px"], bounds) if lesion else None}
            facts |= {"slice_index": case["slice_index"], "size_px": case["size_px"]}
            cases.append(facts | case["files"])
    return Splits(cases, bounds, wanted)


def datalist_of(
    recipe: DatasetRecipe, records: Sequence[Mapping[str, Any]], splits: Splits, facts: Mapping[str, Any]
) -> dict[str, Any]:
    """Content of ``datalist.json``, in MONAI's decathlon style."""
    lists = {split: splits.of(split, False) for split in SPLITS}
    lists |= {f"lesion_free_{split}": splits.of(split, True) for split in SPLITS}
    return {
        "name": f"{recipe.source} ({recipe.disease_name})",
        "description": f"Prepared by mededit_monai {__version__}. {NOTE}",
        "synthetic": facts["synthetic"],
        "recipe": facts["recipe"],
        "strata_bounds_px": list(splits.bounds),
        **lists,
    }


def dataset_facts(
    recipe: DatasetRecipe,
    records: Sequence[Mapping[str, Any]],
    splits: Splits,
    problems: Mapping[str, list[str]],
    ignored: Mapping[str, str],
    warnings: Mapping[str, list[str]] | None = None,
) -> dict[str, Any]:
    """
    Content of ``dataset.json``: everything that was counted, nothing that a second run would count otherwise.

    Args:
        problems: volumes left out because they cannot be used → sentences.
        ignored: volumes that do not belong → why.
        warnings: volumes that were used though something about them is odd → sentences.
    """
    reasons: dict[str, list[str]] = {}
    for record in records:
        for case_id, reason in record["left_out"].items():
            reasons.setdefault(reason, []).append(case_id)
    with_lesion = [c for c in splits.cases if c["stratum"] is not None]
    counts = {split: _counts(splits, split) for split in SPLITS}
    got, said = counts["testing"]["with_pathology"], ""
    if got != splits.wanted:
        said = f"; whole patients come no closer to {splits.wanted}"
    return {
        "name": f"{recipe.source} ({recipe.disease_name})",
        "note": NOTE,
        "mededit_monai": __version__,
        "synthetic": any(record["synthetic"] for record in records),
        "unit": "slices" if recipe.spatial_dims == 2 else "volumes",
        "volumes": {
            "found": len(records) + len(problems) + len(ignored),
            "used": len(records),
            "without_pathology": [r["volume_id"] for r in records if not r["shows_pathology"]],
            "brain_from_file": sum(r["brain_source"] == "file" for r in records),
            "brain_from_background": sum(r["brain_source"] == "background" for r in records),
            "label_4_mapped_to_3": sum(r["label_4"] for r in records),
            "pathology_partly_outside_brain": {
                r["volume_id"]: r["outside_share"] for r in records if r["outside_share"] > 0
            },
            "left_out": dict(problems),
            "not_part_of_it": dict(sorted(ignored.items())),
            **({"warnings": dict(warnings)} if warnings else {}),
        },
        "patients": len({r["patient"] for r in records}),
        "cases": {
            "looked_at": len(splits.cases) + sum(map(len, reasons.values())),
            "with_pathology": len(with_lesion),
            "lesion_free": len(splits.cases) - len(with_lesion),
            "left_out": reasons,
        },
        "strata": _strata_facts(recipe, splits),
        "splits": counts,
        "test": {"wanted": splits.wanted, "got": got, "said": f"{got} of {splits.wanted} wanted{said}"},
    }


def _counts(splits: Splits, split: str) -> dict[str, Any]:
    lesion, free = splits.of(split, False), splits.of(split, True)
    return {
        "patients": len({case["patient"] for case in (*lesion, *free)}),
        "with_pathology": len(lesion),
        "lesion_free": len(free),
        **{stratum: sum(case["stratum"] == stratum for case in lesion) for stratum in STRATA},
    }


def _strata_facts(recipe: DatasetRecipe, splits: Splits) -> dict[str, Any]:
    thesis = None
    if recipe.spatial_dims == 2:  # the thesis has slices only
        thesis = {"bounds_px": list(DISEASES[recipe.disease_name or ""].strata)}
        if recipe.source in THESIS_COUNTS:
            total, counts = THESIS_COUNTS[recipe.source]
            thesis |= {"with_pathology": total, "counts": dict(zip(STRATA, counts))}
    return {
        "bounds_px": list(splits.bounds),
        "counts": {s: sum(case["stratum"] == s for case in splits.cases) for s in STRATA},
        "thesis": thesis,
    }
