# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""`mededit bench`, a preset of an evaluation: every method, sampler and number of steps on the same cases, timed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mededit_monai.core.errors import InputError
from mededit_monai.datasets.evaluation import edited_half, real_images
from mededit_monai.diseases import DISEASES
from mededit_monai.evaluation.bench_plan import BenchPlan, read_plan
from mededit_monai.evaluation.bench_tables import BENCH_FILES, write_bench
from mededit_monai.evaluation.columns import table_columns
from mededit_monai.evaluation.comparisons import against_reference
from mededit_monai.evaluation.judging import evaluation_judge, extractors, judge_facts
from mededit_monai.evaluation.plan import RunOptions
from mededit_monai.evaluation.realism import RealismJudge
from mededit_monai.evaluation.run_row import make_triplets, measured, say, set_scores
from mededit_monai.evaluation.scores import Scorer
from mededit_monai.evaluation.timing import TIMED, TIMES_FILE, Timing, Timings, machine, on_gpu, speeds
from mededit_monai.io.held import held_folder
from mededit_monai.io.outputs import OutputFolder
from mededit_monai.io.provenance import DISCLAIMER, versions

PAIRED = "paired"

#: By the spatial dimensions of the cases.
COLUMNS = {
    2: (
        *("dice", "combined", "kid", "contrast", "zone_error", "outside_error"),
        *("ventricle_error", "ventricle_slope", "ventricle_r", "seam", "texture"),
        *("lesion_auc", "carried_r", "carried_slope", "end_point"),
    ),
    3: (
        *("dice", "contrast", "zone_error", "outside_error", "slice_step", "lesion_auc"),
        *("carried_r", "carried_slope", "carried_error", "end_point", "displaced_error"),
    ),
}


@dataclass(frozen=True, kw_only=True)
class BenchOptions(RunOptions):
    """
    What ``mededit bench`` is asked, beside :class:`RunOptions`; the cohort's truth must be known.

    Args:
        preset, cases, rows, config: see :func:`~mededit_monai.evaluation.bench_plan.read_plan`.
        speed: whether start-up, training and network sizes are timed too; with slices only.
    """

    preset: str = "full"
    cases: int | None = None
    rows: tuple[str, ...] = ()
    config: str | None = None
    speed: bool = True

    PATHS = {**RunOptions.PATHS, "config": "rows_file"}
    REPEATED = ("rows", "configs")


def bench(options: BenchOptions) -> Path:
    """
    Edit, measure and time every row, and write ``bench.json``, ``.csv``, ``.md`` and ``.png``.

    Run again it goes on: edits that are there and were made by the same settings, weights and inputs are kept, and so
    are the times of rows that were timed on this machine.

    Returns:
        ``bench.json``.

    Raises:
        InputError: bad input, in one sentence.
    """
    cohort, job = options.start()
    if not cohort["paired"]:
        raise InputError(
            f"--cohort: {options.cohort} holds no pairs, and without the truth nothing says whether an edit kept the "
            f"patient's anatomy; give a cohort of 'mededit simulate'."
        )
    dims, disease = cohort["spatial_dims"], cohort["disease"]
    everything = on_gpu(options.device)
    plan = read_plan(
        job.root, "mask", options.preset, options.cases, options.rows, options.config, everything, spatial_dims=dims
    )
    if not plan.measurable:
        why = "; ".join(dict.fromkeys(str(row.reason) for row in plan.rows)) or "the preset leaves none"
        raise InputError(f"--row: none can be measured with {job.root.name}: {why}; choose others.")
    inputs = [Path(options.cohort) / "datalist.json", options.config, options.judge, *job.overlays]
    names = [job.triplets(PAIRED).name, TIMES_FILE, *BENCH_FILES]
    OutputFolder(job.output, inputs).require_free(names)  # before hours of editing
    judge = evaluation_judge(disease, options.judge, dims)
    known = extractors(disease, options.judge, None) if dims == 2 else {}  # features of images know no volumes
    with held_folder(job.output, names, inputs):
        edited = [(row, PAIRED) for row in plan.measurable]
        among = edited_half(options.cohort, options.seed) if known else None
        counts = make_triplets(job, options.cohort, edited, [PAIRED], plan.cases, among)[PAIRED]
        timings = Timings(job)
        lines = measured(job, edited, DISEASES[disease].pixel_mm, timings.take)
        say("scoring")
        real = real_images(options.cohort, among or ()) if known else []
        judges = {ending: RealismJudge(extractor, real, options.seed) for ending, extractor in known.items()}
        scorer = Scorer(lines, set_scores(job, edited, lines, judges), options.seed)
        content = {
            "synthetic": True,
            "note": DISCLAIMER,
            "bundle": job.root.name,
            "cohort": {key: cohort[key] for key in ("name", "disease", "simulator_version", "recipe")},
            "cases": counts,
            "judge": None if judge is None else judge_facts(judge, disease),
            "extractor": known[""].name if known else None,
            "real_images": len(real),
            "machine": machine(options.device),
            "versions": versions(),
            "seed": options.seed,
            "reference": plan.reference,
            "default": plan.default,
            "margins": dict(plan.margins),
            "rows": _rows(plan, scorer, timings.known, judges, COLUMNS[dims]),
            "left_out": {row.key: row.reason for row in plan.rows if row.reason is not None},
            **(speeds(job.root, plan.networks) if options.speed and dims == 2 else {}),
        }
        return write_bench(job.output, content)


def _rows(
    plan: BenchPlan,
    scorer: Scorer,
    times: Mapping[str, Timing],
    judges: Mapping[str, RealismJudge],
    keys: Sequence[str],
) -> list[dict[str, Any]]:
    """Costs, figures and verdict of every row."""
    columns = table_columns(keys, {ending: one.extractor.name for ending, one in judges.items()}, (PAIRED,))
    real = judges[""].real if judges else None
    base, slowest = (plan.reference, PAIRED) in scorer.lines, times.get(plan.reference)
    results = []
    for row in plan.measurable:
        timing, verdict = times.get(row.key), None
        if row.control in (*TIMED, "truth") and row.key != plan.reference and base:
            verdict = against_reference(scorer, row.key, plan.reference, PAIRED, plan.margins, real)
        results.append(
            {
                "row": row.key,
                "label": row.label,
                "group": row.group,
                "value": row.value,
                "settings": dict(row.settings),
                "weights": None if row.weights is None or timing is None else row.weights.name,
                "n_cases": len(scorer.lines[row.key, PAIRED]),
                **(asdict(timing) if timing else {"nfe": 0, "seconds": None, "memory_mb": None, "per_minute": None}),
                "fewer_evaluations": slowest.nfe / timing.nfe if timing and slowest else None,
                "faster": slowest.seconds / timing.seconds if timing and slowest else None,
                "figures": {column.key: scorer.figure(row.key, column, "mask") for column in columns},
                "against_reference": verdict,
            }
        )
    return results
