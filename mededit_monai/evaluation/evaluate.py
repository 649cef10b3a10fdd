# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""`mededit evaluate`: triplets, edits of every row, scores, tables, report."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mededit_monai.core.devices import require_device
from mededit_monai.core.errors import InputError, require_choice
from mededit_monai.datasets.editing import share_of
from mededit_monai.datasets.evaluation import cohort_facts, group_of, real_images, write_triplets
from mededit_monai.datasets.pairing import PAIRINGS
from mededit_monai.diseases import DISEASES
from mededit_monai.evaluation.area import fit_area
from mededit_monai.evaluation.folder import check_limits, path_word, require_outside
from mededit_monai.evaluation.judging import evaluation_judge, extractors, judge_facts
from mededit_monai.evaluation.processes import Processes
from mededit_monai.evaluation.realism import RealismJudge
from mededit_monai.evaluation.results import Evaluation, result_names, write_results
from mededit_monai.evaluation.rows import AREA, Row, planned_rows
from mededit_monai.evaluation.run_row import (
    Job,
    case_line,
    lesion_areas,
    matching_bundle,
    read_cases,
    require_free_edits,
    run_row,
    shared_options,
    stored_planes,
)
from mededit_monai.evaluation.scores import Scorer, SetScores
from mededit_monai.evaluation.tables import PRESETS, Table, chosen_tables
from mededit_monai.io.claims import ALL
from mededit_monai.io.datalist import read_datalist
from mededit_monai.io.held import held_folder
from mededit_monai.io.outputs import OutputFolder
from mededit_monai.judges.features import Extractor


@dataclass(frozen=True)
class EvaluationOptions:
    """
    What ``mededit evaluate`` is asked.

    Args:
        cohort: folder of ``mededit simulate`` or ``mededit dataset``.
        tables: numbers such as ``5.1``, YAML files, or ``all``.
        output: folder; an unfinished one is gone on with.
        bundle: name or folder; None for that of the cohort's disease.
        pairing: ``thesis``, ``paired`` or ``both``.
        preset: ``quick`` or ``full``; limit: at most so many triplets a pairing; steps: noise levels in place of the
            preset's.
        shard: ``i/n``: edit a share of the cases and stop.
        judge: folder of a judge, embedded or nnU-Net; None for the shipped one. features: weights of RadImageNet's
            ResNet50 for a second set of realism columns.
        configs: files laid over the bundle's, for a network of another size.
        seed: of triplets, edits and resampling; batch_size: cases edited at a time.
        device: ``cpu``, ``cuda``, …; None: a GPU if there is one.
        progress: bars on stderr; report: whether ``report.html`` is written.
    """

    cohort: str
    tables: tuple[str, ...]
    output: str
    bundle: str | None = None
    pairing: str = "both"
    preset: str = "quick"
    limit: int | None = None
    steps: int | None = None
    shard: str | None = None
    judge: str | None = None
    features: str | None = None
    configs: tuple[str, ...] = ()
    seed: int = 0
    batch_size: int = 16
    device: str | None = None
    progress: bool = False
    report: bool = True

    def __post_init__(self) -> None:
        for name in ("cohort", "output", "judge", "features"):
            word = "output_dir" if name == "output" else name
            object.__setattr__(self, name, path_word(word, getattr(self, name), optional=name in ("judge", "features")))
        for name in ("tables", "configs"):
            words = getattr(self, name)
            object.__setattr__(self, name, (words,) if isinstance(words, (str, os.PathLike)) else tuple(words))

    @property
    def pairings(self) -> tuple[str, ...]:
        """The pairings asked for."""
        return PAIRINGS if self.pairing == "both" else (self.pairing,)

    def check(self) -> None:
        """Raises InputError for a value that cannot be used."""
        require_choice("pairing", self.pairing, (*PAIRINGS, "both"))
        require_choice("preset", self.preset, PRESETS)
        check_limits(self, ("limit", "steps", "seed", "batch_size"))
        require_device(self.device)
        share_of([], self.shard)


@dataclass(frozen=True)
class Plan:
    """What is to be done: facts of the cohort, tables, rows by key, and what the rows share."""

    options: EvaluationOptions
    cohort: dict[str, Any]
    tables: list[Table]
    rows: dict[str, Row]
    job: Job

    @property
    def folder(self) -> OutputFolder:
        """Where everything is written, and what must not be written over."""
        o = self.options
        inputs = [o.judge, o.features, *o.configs, *(t for t in o.tables if Path(t).is_file())]
        return OutputFolder(o.output, [Path(o.cohort) / "datalist.json", *inputs])

    @property
    def edited(self) -> list[tuple[Row, str]]:
        """Rows with edits, on each pairing on which they can be made."""
        return [
            (row, pairing)
            for row in self.rows.values()
            for pairing in self.options.pairings
            if row.reason is None and row.control != AREA and not (row.control == "truth" and pairing != "paired")
        ]


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
        evaluation_judge(plan.cohort["disease"], options.judge)
        known = extractors(plan.cohort["disease"], options.judge, options.features)
    with Processes() as processes, ExitStack() as held:
        if processes.count > 1 and options.shard is not None:
            raise InputError(
                f"--shard: got '{options.shard}' under torchrun, which deals the cases itself; leave it out."
            )
        counts = {}
        if processes.rank == 0:  # the others work in its name
            claimed = [ALL if options.shard is None else f"shard {options.shard}"]
            held.enter_context(held_folder(options.output, _names(plan), plan.folder.inputs, claimed))
            counts = _write_triplets(plan)
            cases = {p: [case["case_id"] for case in read_datalist(plan.job.triplets(p))] for p in options.pairings}
            require_free_edits(plan.job, plan.edited, cases)
        processes.wait()
        shard = options.shard or processes.shard
        if shard is not None:
            _edit_share(plan, shard, processes.device)
        processes.wait()
        processes.leave()  # metrics would wait for processes that measure nothing
        if options.shard is not None or processes.rank > 0:
            return None
        return _score(plan, counts, known)


def _names(plan: Plan) -> list[str]:
    """Files that a run writes at the top of its folder; a share writes triplets alone."""
    triplets = [plan.job.triplets(pairing).name for pairing in plan.options.pairings]
    return triplets if plan.options.shard is not None else [*triplets, *result_names(plan.tables, plan.options.report)]


def make_plan(options: EvaluationOptions) -> Plan:
    """
    Check what was asked.

    Raises:
        InputError: an option, table, cohort or bundle that does not fit.
    """
    from mededit_monai.workflows import checked_overlays  # it imports what this package builds

    options.check()
    overlays = tuple(checked_overlays(options.configs))
    cohort = cohort_facts(options.cohort)
    require_outside(options.output, options.cohort)
    tables = chosen_tables(options.tables, cohort["disease"])
    if "paired" in options.pairings and not cohort["paired"]:
        raise InputError(
            f"--pairing: got '{options.pairing}', but {options.cohort} holds no pairs (cases with 'prior', 'image' and "
            "the ventricles of both); give --pairing thesis, or a cohort of 'mededit simulate'."
        )
    root = matching_bundle(options.bundle, cohort["disease"])
    rows = planned_rows(tables, options.preset, root, options.steps)
    job = Job(Path(options.output), root, overlays, shared_options(options))
    return Plan(options, cohort, tables, rows, job)


def _write_triplets(plan: Plan) -> dict[str, dict[str, Any]]:
    options = plan.options
    cases = max(table.presets[options.preset]["cases"] for table in plan.tables)
    wanted = cases if options.limit is None else min(cases, options.limit)
    return {
        pairing: write_triplets(options.cohort, plan.job.triplets(pairing), pairing, wanted, options.seed)
        for pairing in options.pairings
    }


def _edit_share(plan: Plan, shard: str, device: str | None) -> None:
    job = plan.job
    if device is not None and plan.options.device is None:
        job = replace(job, options={**(job.options or {}), "device": device})
    for number, (row, pairing) in enumerate(plan.edited, start=1):
        _say(f"[{number}/{len(plan.edited)}] {row.key}, {pairing}, share {shard}")
        run_row(job, row, pairing, shard)


def _score(plan: Plan, counts: Mapping[str, Mapping[str, Any]], known: Mapping[str, Extractor]) -> list[Path]:
    """Edit what is missing, measure, score and write."""
    options, job = plan.options, plan.job
    triplets = {pairing: read_datalist(job.triplets(pairing)) for pairing in options.pairings}
    pixel = DISEASES[plan.cohort["disease"]].pixel_mm
    areas = {pairing: lesion_areas(cases, pixel) for pairing, cases in triplets.items()}
    lines: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for number, (row, pairing) in enumerate(plan.edited, start=1):
        _say(f"[{number}/{len(plan.edited)}] {row.key}, {pairing}: {len(triplets[pairing])} cases")
        run_row(job, row, pairing)
        lines[row.key, pairing] = read_cases(job, row, pairing, areas[pairing])
    rows, fitted = dict(plan.rows), 0
    for row in [row for row in rows.values() if row.control == AREA and "paired" in triplets]:
        fit = fit_area(options.cohort, pixel)
        if fit is None:
            rows[row.key] = replace(row, reason="not measured (the cohort's training split has no known truth)")
            continue
        fitted = fit.cases
        lines[row.key, "paired"] = [
            case_line(row, "paired", case, areas["paired"][case["case_id"]], {}) | fit.figures(case, pixel)
            for case in triplets["paired"]
        ]
    _say("scoring")
    real = real_images(options.cohort)
    judges = {ending: RealismJudge(extractor, real, options.seed) for ending, extractor in known.items()}
    scorer = Scorer(lines, _sets(plan, triplets, judges), options.seed)
    judge = judge_facts(evaluation_judge(plan.cohort["disease"], options.judge), plan.cohort["disease"])
    result = Evaluation(
        options=options,
        cohort=plan.cohort,
        tables=plan.tables,
        rows=rows,
        lines=lines,
        scorer=scorer,
        counts=counts,
        judge=judge,
        extractors={ending: extractor.name for ending, extractor in known.items()},
        real=len(real),
        fitted=fitted,
        bundle=job.root.name,
    )
    return write_results(result)


def _sets(plan: Plan, triplets: Mapping[str, Sequence[Mapping[str, Any]]], judges: Mapping[str, RealismJudge]):
    """Realism of a row by its key, pairing and extractor, from its stored edits."""
    edited = {(row.key, pairing): row for row, pairing in plan.edited}

    def sets(key: str, pairing: str, ending: str) -> SetScores | None:
        if (key, pairing) not in edited:
            return None
        planes = stored_planes(plan.job.edits(edited[key, pairing], pairing), triplets[pairing])
        return SetScores(judges[ending], planes, [group_of(case) for case in triplets[pairing]])

    return sets


def _say(sentence: str) -> None:
    """Where a run is, on stderr of the first process."""
    if int(os.environ.get("RANK", 0)) == 0:
        print(sentence, file=sys.stderr, flush=True)
