# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""
Does the default editor do better on brains that its networks learned from?

    python -m studies.known_brains --disease stroke --anatomies DIR --lesions DIR --cases 240 -o out/known_brains

Simulates new cases, with lesions of the test list, on every anatomy of a folder, edits them, and compares brains of the
training with held-out ones (``--split_seed`` as of the training's cohort): error over that of no edit, of all cases of
a brain together. Differences of means with 95 % intervals (bootstrap over brains) and a rank-sum test of the brains.
Writes ``known_brains.md`` and ``.json``. Run again it goes on.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from scipy.stats import mannwhitneyu

from mededit_monai.core.errors import InputError, exit_on_bad_input, say
from mededit_monai.core.paths import user_path
from mededit_monai.core.program import run_program
from mededit_monai.evaluation.evaluate import EvaluationOptions, evaluate
from mededit_monai.evaluation.scores import values_of
from mededit_monai.io.atomic import write_json, write_text
from mededit_monai.io.case_names import stem
from mededit_monai.io.outputs import OutputFolder
from mededit_monai.io.provenance import DISCLAIMER, versions
from mededit_monai.reports.plain_text import markdown_table, table_cell
from mededit_monai.simulation.anatomies import list_anatomies
from mededit_monai.simulation.plan import Recipe
from mededit_monai.simulation.pool import worker_count
from mededit_monai.simulation.simulate import simulate_cohort
from mededit_monai.simulation.splits import split_names

FILES = ("known_brains.md", "known_brains.json", "table.yaml")

#: Figure for people → error, and that of no edit, of ``metrics.csv``.
RATIOS = {
    "error in M∖p": ("truth_error_zone", "truth_idle_error_zone"),
    "end-point error": ("end_point_error", "end_point_idle"),
    "carried ventricle error": ("carried_ventricle_change_error", "carried_ventricle_change_idle_error"),
}

DRAWS = 2000


def table_of(disease: str) -> dict[str, Any]:
    """The default editor alone, as a table of ``mededit evaluate``."""
    return {
        "table": "known_brains",
        "title": "Brains of the training and others",
        "bundle": disease,
        "condition": "mask",
        "kind": "methods",
        "columns": ["zone_error", "end_point", "end_point_idle", "carried_error"],
        "presets": {name: {"cases": 1_000_000, "spacing": "logsnr"} for name in ("quick", "full")},
        "rows": {"morph": {"label": "deformation and paint", "settings": {"method": "morph", "steps": None}}},
    }


def ratios_of(cases: Sequence[Mapping[str, str]]) -> dict[str, dict[str, float]]:
    """Brain → figure → sum of the errors over that of no edit's, of the cases in which both are known."""
    found = {}
    for brain in sorted({case["anatomy"] for case in cases}):
        own = [{k: float(v) for k, v in c.items() if k in _NEEDED and v} for c in cases if c["anatomy"] == brain]
        found[brain] = {
            name: _ratio(values_of(own, error), values_of(own, idle)) for name, (error, idle) in RATIOS.items()
        }
    return found


def edited_cases(folder: Path, table: Mapping[str, Any], progress: bool = False, **asked: Any) -> list[dict[str, str]]:
    """
    Edit and measure the pairs of ``cohort`` in a folder; the lines of ``scores/metrics.csv``, one a row and case.

    Args:
        table: of ``mededit evaluate``, written as ``table.yaml``; asked: further options of the evaluation.
    """
    write_text(folder / FILES[2], yaml.safe_dump(dict(table), sort_keys=False))
    evaluate(
        EvaluationOptions(
            cohort=str(folder / "cohort"),
            output=str(folder / "scores"),
            tables=(str(folder / FILES[2]),),
            pairing="paired",
            report=False,
            progress=progress,
            **asked,
        )
    )
    with open(folder / "scores" / "metrics.csv", newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


_NEEDED = {name for pair in RATIOS.values() for name in pair}


def _ratio(errors: np.ndarray, idle: np.ndarray) -> float:
    known = ~np.isnan(errors + idle)
    return float(errors[known].sum() / idle[known].sum()) if idle[known].sum() > 0 else float("nan")


def compare(known: Sequence[float], others: Sequence[float], seed: int = 0) -> dict[str, float]:
    """
    Means of two sets of brains, their difference (known minus others) with interval, and p of a rank-sum test.

    Args:
        known, others: a number a brain, finite, at least one each.
    """
    rng, sets = np.random.default_rng(seed), [np.asarray(one, dtype=np.float64) for one in (known, others)]
    drawn = [one[rng.integers(len(one), size=(DRAWS, len(one)))].mean(axis=1) for one in sets]
    low, high = np.quantile(drawn[0] - drawn[1], [0.025, 0.975])
    found = {"known": sets[0].mean(), "others": sets[1].mean(), "difference": sets[0].mean() - sets[1].mean()}
    found |= {"low": low, "high": high, "p": mannwhitneyu(*sets).pvalue}
    return {name: float(value) for name, value in found.items()}


def known_brains(
    output: str | Path,
    disease: str,
    anatomies: str,
    lesions: str | None = None,
    cases: int = 240,
    spatial_dims: int = 2,
    seed: int = 51,
    split_seed: int = 0,
    workers: int = 1,
    progress: bool = False,
    **asked: Any,
) -> dict[str, Any]:
    """
    Simulate, edit, measure and write.

    Args:
        anatomies, lesions: folders as for ``mededit simulate``; split_seed: of the training's cohort.
        asked: further options of the evaluation.

    Returns:
        what ``known_brains.json`` holds.

    Raises:
        InputError: fewer than three anatomies, which no split divides, or a folder that cannot be used.
    """
    output = user_path(output)
    members = split_names([stem(Path(name)) for name in list_anatomies(anatomies)], split_seed)
    if not members["training"] or not members["testing"]:
        raise InputError(f"--anatomies: {anatomies} holds too few to be divided, wanted at least 3; give more.")
    folder = OutputFolder(output)
    folder.require_free(FILES)
    shared = {"seed": seed, "spatial_dims": spatial_dims, "counts": (0, 0, cases), "testing_only": True}
    recipe = Recipe(disease, cases, anatomies, lesions, split_seed=split_seed, **shared)
    say(f"{cases} cases on {sum(map(len, members.values()))} anatomies")
    simulate_cohort(recipe, output / "cohort", workers, progress)
    folder.reserve(FILES)
    ratios = ratios_of(edited_cases(output, table_of(disease), progress, **asked))
    sides = {"known": members["training"], "others": members["testing"]}
    figures = {}
    for name in RATIOS:
        values = {side: [ratios[b][name] for b in names if b in ratios] for side, names in sides.items()}
        values = {side: [v for v in found if v == v] for side, found in values.items()}
        figures[name] = compare(values["known"], values["others"]) if all(values.values()) else None
    content = {"note": DISCLAIMER, "synthetic": True, "disease": disease, "spatial_dims": spatial_dims, "cases": cases}
    content |= {"seed": seed, "split_seed": split_seed, "members": sides, "brains": ratios, "figures": figures}
    content |= {"versions": versions()}
    write_json(output / FILES[1], content)
    write_text(output / FILES[0], markdown(content))
    return content


def markdown(content: Mapping[str, Any]) -> str:
    """``known_brains.md``."""
    known, others = (len(content["members"][side]) for side in ("known", "others"))
    rows = []
    for name, found in content["figures"].items():
        if found is not None:
            ends = f"{found['difference']:+.3f} ({found['low']:+.3f} … {found['high']:+.3f})"
            rows.append((name, f"{found['known']:.3f}", f"{found['others']:.3f}", ends, f"{found['p']:.2g}"))
    sides = {name: side for side, names in content["members"].items() for name in names}
    brains = [
        (
            table_cell(name),
            {"known": "yes", "others": "no"}.get(sides.get(name, ""), "validation"),
            *(f"{v:.3f}" for v in own.values()),
        )
        for name, own in content["brains"].items()
    ]
    kind = "volumes" if content["spatial_dims"] == 3 else "slices"
    heads = ("error over that of no edit", f"{known} brains of the training", f"{others} held out", "difference", "p")
    return "\n".join(
        [
            f"# Brains of the training and others: {content['disease']}, {kind}",
            "",
            f"{content['note']} {content['cases']} new cases with lesions of the test list, the default editor with "
            f"the weights as they are shipped. In brackets 95 % intervals over brains; p: rank-sum test of the brains.",
            "",
            *markdown_table(heads, rows),
            "",
            *markdown_table(("brain", "in the training", *RATIOS), brains),
            "",
        ]
    )


def main(words: Sequence[str] | None = None) -> None:
    """Command line; exit code 2 and a sentence for bad input."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--disease", default="stroke", help="stroke or tumor")
    parser.add_argument("--anatomies", required=True, help="folder as for mededit simulate")
    parser.add_argument("--lesions", default=None, help="folder of lesion masks; default: drawn lesions")
    parser.add_argument("--cases", type=int, default=240, help="new cases on all anatomies together")
    parser.add_argument("--spatial_dims", type=int, default=2, help="2 or 3")
    parser.add_argument("--seed", type=int, default=51, help="of the cases")
    parser.add_argument("--split_seed", type=int, default=0, help="of the training's cohort")
    parser.add_argument("--workers", type=int, default=1, help="processes that simulate; 0: one a core")
    parser.add_argument("--output_dir", "-o", default="out/known_brains")
    given = parser.parse_args(words)
    with exit_on_bad_input():
        content = known_brains(
            given.output_dir,
            given.disease,
            given.anatomies,
            given.lesions,
            given.cases,
            given.spatial_dims,
            given.seed,
            given.split_seed,
            worker_count(given.workers),
            progress=sys.stderr.isatty(),
        )
    print(markdown(content))


if __name__ == "__main__":
    run_program(main)
