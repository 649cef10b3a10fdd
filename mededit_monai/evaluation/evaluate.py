# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""`mededit evaluate`: triplets, edits of every row, scores, tables, report."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack, closing
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from tqdm import tqdm

from mededit_monai.core.errors import InputError
from mededit_monai.datasets.evaluation import real_images
from mededit_monai.diseases import DISEASES
from mededit_monai.evaluation.area import fit_area
from mededit_monai.evaluation.judging import evaluation_judge, extractors, judge_facts
from mededit_monai.evaluation.plan import EvaluationOptions, Plan, make_plan
from mededit_monai.evaluation.processes import Processes
from mededit_monai.evaluation.realism import RealismJudge
from mededit_monai.evaluation.results import Evaluation, result_names, write_results
from mededit_monai.evaluation.rows import AREA
from mededit_monai.evaluation.run_row import (
    NAMES,
    case_line,
    make_triplets,
    measured,
    pairing_of_cases,
    row_workflow,
    run_row,
    say,
    set_scores,
)
from mededit_monai.evaluation.scores import Scorer
from mededit_monai.io.atomic import swept
from mededit_monai.io.claims import ALL
from mededit_monai.io.held import held_folder
from mededit_monai.judges.features import Extractor


def evaluate(options: EvaluationOptions) -> list[Path] | None:
    """
    Edit, measure and compare every row of the tables asked for, and write the tables.

    Run again it goes on: edits that are there and were made by the same settings, weights and inputs are kept. Started
    by ``torchrun``, each process edits a share, and the first one scores.

    Returns:
        the JSON files of the tables; None where this process only edited its share.

    Raises:
        InputError: bad input, in one sentence.
    """
    plan = make_plan(options)
    known = {}
    plan.folder.require_free(_names(plan))  # before hours of editing
    if options.shard is None:
        evaluation_judge(plan.cohort["disease"], options.judge, plan.cohort["spatial_dims"])
    if options.shard is None and plan.flat:
        known = extractors(plan.cohort["disease"], options.judge, options.features)
    with Processes() as processes, ExitStack() as held:
        if processes.count > 1 and options.shard is not None:
            raise InputError(
                f"--shard: got '{options.shard}' under torchrun, which deals the cases itself; leave it out."
            )
        if processes.count > 1 and options.cluster is not None:
            raise InputError(f"--cluster: got '{options.cluster}' under torchrun; give one or the other.")
        counts = {}
        if processes.rank == 0:  # the others work in its name
            claimed = [ALL if options.shard is None else f"shard {options.shard}"]
            held.enter_context(held_folder(options.output, _names(plan), plan.folder.inputs, claimed))
            counts = make_triplets(plan.job, options.cohort, plan.edited, plan.pairings, plan.cases, plan.among)
        processes.wait()
        shard = options.shard or processes.shard
        if options.cluster is not None:
            _edit_on_cluster(plan, options.cluster)
        elif shard is not None:
            _edit_share(plan, shard, processes.device)
        processes.wait()
        processes.leave()  # metrics would wait for processes that measure nothing
        if options.shard is not None or processes.rank > 0:
            return None
        return _score(plan, counts, known)


def _names(plan: Plan) -> list[str]:
    """Files that a run writes at the top of its folder; a share writes triplets alone."""
    used = [*plan.pairings, *(pairing_of_cases(row, pairing) for row, pairing in plan.edited)]
    names = [plan.job.triplets(pairing).name for pairing in dict.fromkeys(used)]
    return names if plan.options.shard is not None else [*names, *result_names(plan.tables, plan.options.report)]


def _edit_share(plan: Plan, shard: str, device: str | None) -> None:
    job = plan.job
    if device is not None and plan.options.device is None:
        job = replace(job, options={**(job.options or {}), "device": device})
    for number, (row, pairing) in enumerate(plan.edited, start=1):
        say(f"[{number}/{len(plan.edited)}] {row.key}, {pairing}, share {shard}")
        run_row(job, row, pairing, shard)


def _edit_on_cluster(plan: Plan, word: str) -> None:
    """Have the edits that are missing, of all rows or of a share of their cases, made by workers."""
    from mededit_monai.cluster.bundle import EVALUATION, jobs_of, work_on
    from mededit_monai.cluster.run import cluster

    job, shard, batches = plan.job, plan.options.shard, []
    with ExitStack() as stack:
        for row, pairing in plan.edited:
            stack.enter_context(
                held_folder(job.edits(row, pairing), claimed=[ALL if shard is None else f"shard {shard}"])
            )
            with row_workflow(job, row, pairing, shard) as workflow:
                get = workflow.parser.get_parsed_content
                pending = get("evaluate#pending")
                batches += jobs_of(workflow.parser, EVALUATION, pending, get("eval_batch_size"))
        total = sum(len(cases) for _, _, cases in batches)
        if not total:
            return
        say(f"{total} edits of {len(plan.edited)} rows are made by workers ({word})")
        if shard is None:  # else others may be at work in the same folders
            stack.enter_context(swept([job.edits(row, pairing) for row, pairing in plan.edited]))
        workers = stack.enter_context(cluster(word, plan.options.output))
        bar = stack.enter_context(tqdm(total=total, desc="editing", unit="case", disable=not plan.options.progress))
        for _, done in stack.enter_context(closing(workers.results(work_on, batches))):
            bar.update(done.cases)


def _score(plan: Plan, counts: Mapping[str, Mapping[str, Any]], known: Mapping[str, Extractor]) -> list[Path]:
    """Edit what is missing, measure, score and write."""
    options, disease = plan.options, plan.cohort["disease"]
    pixel = DISEASES[disease].pixel_mm
    lines = measured(plan.job, plan.edited, pixel)
    rows, fitted = dict(plan.rows), 0
    for row in [row for row in rows.values() if row.control == AREA and "paired" in plan.pairings]:
        fit = fit_area(options.cohort, pixel)
        if fit is None:
            rows[row.key] = replace(row, reason="not measured (the cohort's training split has no known truth)")
            continue
        fitted, areas = fit.cases, plan.job.areas("paired", pixel)
        lines[row.key, "paired"] = [
            case_line(row, "paired", {key: case.get(key, "") for key in NAMES}, areas[name]) | fit.figures(case, pixel)
            for name, case in plan.job.cases("paired").items()
        ]
    say("scoring")
    judge = evaluation_judge(disease, options.judge, plan.cohort["spatial_dims"])
    real = real_images(options.cohort, plan.among or ()) if plan.flat else []
    judges = {ending: RealismJudge(extractor, real, options.seed) for ending, extractor in known.items()}
    result = Evaluation(
        **{field.name: getattr(plan, field.name) for field in fields(plan)} | {"rows": rows},
        lines=lines,
        scorer=Scorer(lines, set_scores(plan.job, plan.edited, lines, judges), options.seed, plan.truths),
        counts=counts,
        judge={} if judge is None else judge_facts(judge, disease),
        extractors={ending: extractor.name for ending, extractor in known.items()},
        real=len(real),
        fitted=fitted,
    )
    return write_results(result)
