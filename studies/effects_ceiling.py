# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""
How well can indirect effects be foretold at all? The cases of a cohort, with their hidden draws repeated.

    python -m studies.effects_ceiling --cohort out/cohort --anatomies DIR --lesions DIR -o out/ceiling

Two people with the same scan and lesion do not move alike: the simulator draws how far. No estimate can know that
draw; the best is the mean over it. For each test case the hidden draws are repeated (``--draws``), everything else
stays, and the mean of the others is held against the case's own draw, the one whose files the cohort holds: change of
the ventricles by carried labels, and end-point error in moved tissue. Writes ``ceiling.json`` and ``ceiling.md``, and
prints the latter. ``mededit evaluate`` on the same cohort has the figures to hold against it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from mededit_monai.core.errors import InputError, exit_on_bad_input, require_whole
from mededit_monai.core.paths import user_path
from mededit_monai.core.program import run_program
from mededit_monai.datasets.evaluation import cohort_facts, group_of
from mededit_monai.evaluation.displaced import read_along_axes
from mededit_monai.evaluation.write import interval
from mededit_monai.io.atomic import write_json, write_text
from mededit_monai.io.nifti import read_array
from mededit_monai.io.outputs import OutputFolder
from mededit_monai.io.provenance import DISCLAIMER, versions
from mededit_monai.metrics.carried import carried_change, lesion_size
from mededit_monai.metrics.ceiling import ceiling, mean_of
from mededit_monai.metrics.displacement import end_point_error
from mededit_monai.metrics.truth import Agreement, change_agreement
from mededit_monai.reports.plain_text import markdown_table
from mededit_monai.simulation.anatomies import load_anatomy
from mededit_monai.simulation.draw_case import LesionPool
from mededit_monai.simulation.plan import Case, Recipe
from mededit_monai.simulation.pool import results, worker_count
from mededit_monai.simulation.redraw import redraw_effects
from mededit_monai.simulation.simulate import lesion_pool
from studies.cohorts import FEWEST, SPLIT, recipe_of, test_cases

#: What is written.
FILES = ("ceiling.json", "ceiling.md")

#: A displacement drawn again may differ from the file's by so many mm: what 16 bits round.
ROUNDING_MM = 0.002


@dataclass(frozen=True)
class CaseDraws:
    """
    A case with its hidden draws repeated.

    Args:
        changes: of the ventricles in each draw, mm² or ml, the cohort's own first.
        of_mean: the same by the mean displacement of the other draws.
        error, idle: mean distance of that mean displacement, and of none, from the case's own, in moved tissue, mm; NaN
            where the case's own moves nothing by 0.25 mm.
        size: of the lesion, mm² or ml.
    """

    case_id: str
    group: str
    changes: tuple[float, ...]
    of_mean: float
    error: float
    idle: float
    size: float


def case_draws(recipe: Recipe, case: Case, entry: Mapping[str, Any], pool: LesionPool, draws: int) -> CaseDraws:
    """
    Repeat the hidden draws of a case.

    Args:
        entry: of the datalist, with absolute paths.

    Raises:
        InputError: a cohort that was made from other folders: its displacement is not what is drawn again.
    """
    pixel, dims = recipe.record.pixel_mm, recipe.spatial_dims
    labels, pathology, brain = (read_array(entry[key]).squeeze() for key in ("prior_ventricles", "pathology", "brain"))
    own = read_along_axes(entry["displacement"], dims)
    total, changes = np.zeros_like(own, dtype=np.float64), []
    for number, drawn in enumerate(redraw_effects(recipe, case, load_anatomy(case.anatomy), pool, draws)):
        field = drawn.displacement[:dims]
        if number == 0 and np.abs(field - own).max() > ROUNDING_MM:
            raise InputError(
                f"{entry['displacement']}: differs by {np.abs(field - own).max():.3g} mm from what is drawn again; "
                "give the folders and the version that the cohort was made with."
            )
        changes.append(float(sum(drawn.ventricles) - sum(drawn.ventricles_before)))
        total += field if number else 0
    mean = total / (draws - 1)
    found = end_point_error(mean, own, pathology, brain)
    of_mean = float(carried_change(labels, mean, pathology, pixel).sum())
    size = lesion_size(pathology, pixel)
    return CaseDraws(case.case_id, group_of(entry), tuple(changes), of_mean, found.error, found.idle, size)


def effects_ceiling(
    cohort: str | Path,
    output: str | Path,
    anatomies: str | None = None,
    lesions: str | None = None,
    cases: int = 240,
    draws: int = 50,
    workers: int = 1,
    seed: int = 0,
    progress: bool = False,
) -> dict[str, Any]:
    """
    The ceiling of a cohort's first so many test cases, in the order in which ``mededit evaluate`` takes them.

    Returns:
        what ``ceiling.json`` holds.

    Raises:
        InputError: a cohort or folders that cannot be used, or fewer than three test cases.
    """
    require_whole("cases", cases, FEWEST)
    require_whole("draws", draws, 3, most=10_000)
    cohort, own = user_path(cohort), OutputFolder(user_path(output))
    own.require_free(FILES)
    recipe = recipe_of(cohort, anatomies, lesions)
    facts, chosen = cohort_facts(cohort), test_cases(cohort, recipe, cases, seed)
    pool = lesion_pool(recipe, SPLIT)
    jobs = [(recipe, case, entry, pool, draws) for case, entry in chosen]
    found = [one for one in tqdm(_drawn(jobs, workers), total=len(jobs), disable=not progress)]
    groups, unit = [one.group for one in found], "ml" if recipe.spatial_dims == 3 else "mm²"
    changes, sizes = np.array([one.changes for one in found]), np.array([one.size for one in found])
    content = {
        "synthetic": True,
        "note": DISCLAIMER,
        "disease": recipe.disease,
        "spatial_dims": recipe.spatial_dims,
        "unit": unit,
        "recipe": facts["recipe"],  # with the folders' names of the cohort, by which release_check knows it
        "simulator_version": facts["simulator_version"],
        "versions": versions(),
        "cases": len(found),
        "anatomies": len(set(groups)),
        "ventricles": asdict(ceiling(changes, sizes, groups, seed=seed)),
        "ventricles_of_mean_displacement": asdict(_of_mean(changes, [one.of_mean for one in found], sizes, groups)),
        "end_point_mm": mean_of([one.error for one in found], groups, seed),
        "moved_mm": mean_of([one.idle for one in found], groups, seed),
        "case_draws": [{k: None if v != v else v for k, v in asdict(one).items()} for one in found],
    }
    own.reserve(FILES)
    write_json(own.path / "ceiling.json", content)
    write_text(own.path / "ceiling.md", markdown(content))
    return content


def _of_mean(changes: np.ndarray, of_mean: Sequence[float], sizes: np.ndarray, groups: Sequence[str]) -> Agreement:
    """The change by the mean displacement against the cases' own: an editor gives a displacement, not a volume."""
    return change_agreement(np.array(of_mean), changes[:, 0], sizes, groups)


def _drawn(jobs: Sequence[tuple], workers: int) -> Iterator[CaseDraws]:
    if workers == 1:
        yield from (case_draws(*job) for job in jobs)
        return
    with closing(results(case_draws, jobs, workers)) as found:
        yield from found


def markdown(content: Mapping[str, Any]) -> str:
    """The result for people."""
    known, unit = content["ventricles"], content["unit"]
    rows = [
        [name, interval(known["own"][key]), interval(content["ventricles_of_mean_displacement"][key])]
        for name, key in (
            ("r", "r"),
            ("slope of the estimate on the truth", "slope"),
            ("calibration (truth on estimate)", "calibration"),
            (f"mean error, {unit}", "error"),
            (f"error of no change, {unit}", "idle_error"),
            ("r given the lesion's size", "partial_r"),
            ("r of a regression on the lesion's size", "area_r"),
        )
    ]
    averaged = [["r", known["r"]], ["slope", known["slope"]], ["calibration", known["calibration"]]]
    averaged += [[f"error, {unit}", known["error"]], [f"scatter of a case, {unit}", known["scatter"]]]
    kind = "volumes" if content["spatial_dims"] == 3 else "slices"
    text = [
        f"# What a perfect mean reaches: {content['disease']}, {kind}",
        "",
        f"{content['note']} {content['cases']} test cases of {content['anatomies']} anatomies, hidden draws repeated "
        f"{known['draws']} times. In brackets: 95 % intervals, anatomies first, then cases.",
        "",
        *markdown_table(["change of the ventricles", "mean of the changes", "change by the mean displacement"], rows),
        "",
        f"End-point error of the mean displacement in moved tissue: {interval(content['end_point_mm'])} mm; moved: "
        f"{interval(content['moved_mm'])} mm.",
        "",
        "With every draw as the truth in turn, averaged:",
        "",
        *markdown_table(["", ""], [[name, f"{value:.3g}"] for name, value in averaged]),
        "",
    ]
    return "\n".join(text)


def main(words: Sequence[str] | None = None) -> int:
    """Command line of the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cohort", required=True, help="folder of mededit simulate")
    parser.add_argument("--anatomies", default=None, help="the folder that it was made from")
    parser.add_argument("--lesions", default=None, help="the folder that it was made from")
    parser.add_argument("--cases", type=int, default=240, help="at most so many test cases")
    parser.add_argument("--draws", type=int, default=50, help="of the hidden part of a case")
    parser.add_argument("--workers", type=int, default=1, help="processes; 0: one a core")
    parser.add_argument("--output_dir", "-o", default="out/ceiling")
    given = parser.parse_args(words)
    with exit_on_bad_input():
        folders = (given.anatomies, given.lesions)
        workers = worker_count(given.workers)
        content = effects_ceiling(
            given.cohort, given.output_dir, *folders, given.cases, given.draws, workers, progress=sys.stderr.isatty()
        )
    print(markdown(content))
    return 0


if __name__ == "__main__":
    run_program(lambda: sys.exit(main()))
