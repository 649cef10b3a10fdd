# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""
Do the samples of an edit spread as people do? Against truths whose hidden part is drawn again for every test case.

    python -m studies.calibrated_samples --cohort out/cohort --anatomies DIR --lesions DIR -o out/calibrated_samples

People with the same scan and lesion differ in how far tissue moves and in how the lesion looks: the simulator draws
both (``--draws`` times a case, the person, lesion and scanner staying). The default editor makes ``--samples`` of each
test slice. Of the ventricles' change, of the displacement where tissue moves, and of intensities in the lesion: spread
over the error of the mean, which is 1 for samples that the truth could be one of, and the energy score (of a number the
CRPS), beside that of other draws of the truth, which is the least possible, and of one edit without draws. Writes
``calibrated_samples.json`` and ``calibrated_samples.md``, and prints the latter.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from mededit_monai.core.errors import InputError, exit_on_bad_input, require_whole
from mededit_monai.core.paths import user_path
from mededit_monai.core.program import run_program
from mededit_monai.datasets.evaluation import group_of
from mededit_monai.evaluation.write import interval
from mededit_monai.io.atomic import write_json, write_text
from mededit_monai.io.outputs import OutputFolder
from mededit_monai.io.provenance import DISCLAIMER, versions
from mededit_monai.metrics.carried import carried_change
from mededit_monai.metrics.ensembles import energy_score, spread_and_error, spread_over_skill
from mededit_monai.metrics.statistics import bootstrap
from mededit_monai.reports.plain_text import markdown_table
from mededit_monai.sampling.noise import case_seed
from mededit_monai.simulation.anatomies import load_anatomy
from mededit_monai.simulation.draw_case import LesionPool
from mededit_monai.simulation.plan import Case, Recipe
from mededit_monai.simulation.redraw import redraw_pairs
from mededit_monai.simulation.simulate import lesion_pool
from mededit_monai.space.conditions import condition_channels
from mededit_monai.space.intensity import to_model_range, to_unit_range
from mededit_monai.workflows import bundle_content
from studies.cohorts import FEWEST, SPLIT, bundle_of, recipe_of, require_told, test_cases

#: What is written.
FILES = ("calibrated_samples.json", "calibrated_samples.md")

#: Figure → what it is, for people; tissue that the truths move by less than MOVED_MM on average is left out of the
#: second.
FIGURES = {
    "ventricles": "change of the ventricles, mm²",
    "moved": "displacement where tissue moves, mm",
    "lesion": "intensity in the lesion, of 1",
}
MOVED_MM = 0.25

#: Of a lesion that every draw of the truth has, at least so many pixels.
SMALLEST = 10

#: What a case is measured by, of each figure.
PARTS = ("variance", "error", "samples", "other_draws", "one_edit")


class Editor:
    """
    The default editor of slices, for one case at a time.

    Args:
        bundle, condition: see ``mededit edit``.
    """

    def __init__(self, bundle: str, condition: str) -> None:
        self.condition = condition
        names = ("network", "inferer", "effects_network_def#pixel_mm")
        asked = {"condition": condition, "spatial_dims": 2}
        self.network, self.one, self.pixel = bundle_content(bundle, names, **asked)
        _, self.several, _ = bundle_content(bundle, names, **asked, samples=2)

    def edits(self, pair: Mapping[str, Any], name: str, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Displacements Kx2xHxW (mm) and images KxHxW of so many samples; of 1 the edit without draws."""
        told = pair["regions"] if self.condition == "regions" else pair["pathology"]
        channels = condition_channels(torch.from_numpy(np.float32(told))[None], self.condition)[None]
        scan, brain = (torch.from_numpy(np.float32(pair[key]))[None, None] for key in ("prior", "prior_brain"))
        wide = [count, 1, 1, 1]
        seeds = [case_seed(0, f"{name}/{k}") for k in range(count)]
        editor = self.one if count == 1 else self.several
        made = editor(
            to_model_range(scan * brain).repeat(wide),
            self.network,
            brain=brain.repeat(wide),
            pathology=channels.repeat(wide),
            seeds=seeds,
        )
        moved = made.extras["displacement"].double().cpu().numpy()
        return moved, to_unit_range(made.image)[:, 0].double().cpu().numpy()


def measure(
    recipe: Recipe, case: Case, pool: LesionPool, editor: Editor, samples: int, draws: int
) -> dict[str, dict[str, float]]:
    """
    A case's figures, each with :data:`PARTS`; one that cannot be measured is left out.

    The first half of the draws are the truths; the others stand for samples that are as they should be.
    """
    pairs = list(redraw_pairs(recipe, case, load_anatomy(case.anatomy), pool, draws))
    if len(pairs) < 4:
        return {}
    own, pixel = pairs[0], recipe.record.pixel_mm
    labels, lesion, brain = own["prior_ventricles"], own["pathology"], own["prior_brain"] > 0

    def changes(fields: np.ndarray) -> np.ndarray:
        return np.array([carried_change(labels, field, lesion, pixel).sum() for field in fields])

    fields = np.stack([pair["displacement"][:2] for pair in pairs]).astype(np.float64)
    images = np.stack([pair["image"] for pair in pairs]).astype(np.float64)
    drawn, single = editor.edits(own, case.case_id, samples), editor.edits(own, case.case_id, 1)
    inside = np.logical_and.reduce([pair["pathology"] for pair in pairs])
    tissue = brain & ~lesion & (np.sqrt((fields**2).sum(axis=1)).mean(axis=0) >= MOVED_MM)
    found = {}
    if labels.any():
        found["ventricles"] = compared(changes(drawn[0]), changes(single[0]), changes(fields))
    if tissue.any():
        found["moved"] = compared(drawn[0][..., tissue], single[0][..., tissue], fields[..., tissue])
    if inside.sum() >= SMALLEST:
        found["lesion"] = compared(drawn[1][:, inside], single[1][:, inside], images[:, inside])
    return found


def compared(samples: np.ndarray, single: np.ndarray, draws: np.ndarray) -> dict[str, float]:
    """
    A figure's parts.

    Args:
        samples: Kx…; single: 1x…, the edit without draws; draws: of the truth, Tx….
    """
    truths, others = draws[: len(draws) // 2], draws[len(draws) // 2 :]
    variance, error = spread_and_error(samples, truths)
    scores = [np.mean([energy_score(one, truth) for truth in truths]) for one in (samples, others, single)]
    return dict(zip(PARTS, (variance, error, *map(float, scores))))


def calibrated_samples(
    cohort: str | Path,
    output: str | Path,
    anatomies: str | None = None,
    lesions: str | None = None,
    bundle: str | None = None,
    condition: str = "mask",
    cases: int = 120,
    samples: int = 8,
    draws: int = 16,
    seed: int = 0,
    progress: bool = False,
) -> dict[str, Any]:
    """
    The first so many test slices of a cohort, in the order in which ``mededit evaluate`` takes them.

    Args:
        anatomies, lesions: the folders that the cohort was made from.
        bundle: name or folder; None: that of the cohort's disease.
        condition: what the editor is told, mask or (tumours) regions.
        cases: at most so many; samples: of each; draws: of the hidden part of each, half of them are truths.
        seed: of the cases and intervals.

    Returns:
        what ``calibrated_samples.json`` holds.

    Raises:
        InputError: a cohort, bundle or folders that cannot be used, a cohort of volumes, regions of a disease that has
            none, or fewer than three test cases.
    """
    require_whole("cases", cases, FEWEST)
    require_whole("samples", samples, 2, most=1000)
    require_whole("draws", draws, 4, most=1000)
    cohort, own = user_path(cohort), OutputFolder(user_path(output))
    own.require_free(FILES)
    recipe = recipe_of(cohort, anatomies, lesions)
    if recipe.spatial_dims != 2:
        raise InputError(f"--cohort: {cohort} has volumes, wanted slices; simulate it with --spatial_dims 2.")
    require_told(recipe.disease, condition)
    bundle = bundle_of(recipe.disease, bundle)
    chosen = test_cases(cohort, recipe, cases, seed)
    pool, editor, found = lesion_pool(recipe, SPLIT), Editor(bundle, condition), {}
    for case, _ in tqdm(chosen, disable=not progress):
        found[case.case_id] = measure(recipe, case, pool, editor, samples, draws)
    groups = {case.case_id: group_of(entry) for case, entry in chosen}
    content = {
        "synthetic": True,
        "note": DISCLAIMER,
        "disease": recipe.disease,
        "bundle": Path(os.path.abspath(bundle)).name,  # of a folder its name: no path of this machine
        "condition": condition,
        "recipe": recipe.as_json(),
        "versions": versions(),
        "cases": len(found),
        "anatomies": len(set(groups.values())),
        "samples": samples,
        "draws": draws,
        "figures": {name: summary(found, groups, name, seed) for name in FIGURES},
        "case_figures": found,
    }
    own.reserve(FILES)
    write_json(own.path / FILES[0], content)
    write_text(own.path / FILES[1], markdown(content))
    return content


def summary(
    found: Mapping[str, Mapping[str, Mapping[str, float]]], groups: Mapping[str, str], figure: str, seed: int
) -> dict[str, Any] | None:
    """A figure over the cases that have it: spread over skill, spread, skill and scores, each with its interval."""
    names = [name for name, parts in found.items() if figure in parts]
    if len(names) < 3:
        return None
    values = np.array([[found[name][figure][part] for part in PARTS] for name in names])
    whose = [groups[name] for name in names]
    statistics = {
        "ratio": lambda rows: spread_over_skill(rows[:, :2]),
        "spread": lambda rows: float(np.sqrt(rows[:, 0].mean())),
        "skill": lambda rows: float(np.sqrt(rows[:, 1].mean())),
    }
    for number, part in enumerate(PARTS[2:], start=2):
        statistics[part] = lambda rows, number=number: float(rows[:, number].mean())
    measured = {name: bootstrap(values, whose, statistic, seed=seed) for name, statistic in statistics.items()}
    return {"cases": len(names)} | {
        name: {"value": one.value, "low": one.low, "high": one.high} for name, one in measured.items()
    }


def markdown(content: Mapping[str, Any]) -> str:
    """The result for people."""
    heads = ["", "cases", "spread / error", "spread", "error of the mean", "score of the samples"]
    heads += ["of other truths", "of one edit"]
    keys = ("ratio", "spread", "skill", *PARTS[2:])
    rows = [
        [what, str(one["cases"]), *(interval(one[key]) for key in keys)]
        for name, what in FIGURES.items()
        if (one := content["figures"][name]) is not None
    ]
    text = [
        f"# Do samples spread as people do? {content['disease']}, slices, {content['condition']}",
        "",
        f"{content['note']} {content['cases']} test cases of {content['anatomies']} anatomies; {content['samples']} "
        f"samples of each, against {content['draws'] // 2} draws of its truth. In brackets: 95 % intervals, anatomies "
        f"first, then cases.",
        "",
        *markdown_table(heads, rows),
        "",
        "Spread / error is 1 where the truth could be one of the samples, and less where they are too much alike. The "
        "score is the energy score (of the ventricles the CRPS), in the figure's own unit, less is better: other "
        "draws of the truth have the least that is possible, and one edit without draws has its mean distance.",
        "",
    ]
    return "\n".join(text)


def main(words: Sequence[str] | None = None) -> int:
    """Command line of the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cohort", required=True, help="folder of mededit simulate, slices")
    parser.add_argument("--anatomies", default=None, help="the folder that it was made from")
    parser.add_argument("--lesions", default=None, help="the folder that it was made from")
    parser.add_argument("--bundle", default=None, help="default: that of the cohort's disease")
    parser.add_argument("--condition", default="mask", choices=("mask", "regions"))
    parser.add_argument("--cases", type=int, default=120, help="at most so many test cases")
    parser.add_argument("--samples", type=int, default=8, help="of each case")
    parser.add_argument("--draws", type=int, default=16, help="of the hidden part of a case; half of them are truths")
    parser.add_argument("--output_dir", "-o", default="out/calibrated_samples")
    given = parser.parse_args(words)
    with exit_on_bad_input():
        what = (given.cohort, given.output_dir, given.anatomies, given.lesions, given.bundle, given.condition)
        content = calibrated_samples(*what, given.cases, given.samples, given.draws, progress=sys.stderr.isatty())
    print(markdown(content))
    return 0


if __name__ == "__main__":
    run_program(lambda: sys.exit(main()))
