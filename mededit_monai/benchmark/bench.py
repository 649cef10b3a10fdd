# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""`mededit bench`: every family, sampler and number of evaluations on the same cases, in one process."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from dataclasses import replace as with_changes
from pathlib import Path
from typing import Any

import torch

from mededit_monai.benchmark.compare import RowCases, against_reference
from mededit_monai.benchmark.plan import BenchPlan, BenchRow, read_plan
from mededit_monai.benchmark.timing import Timing, network_sizes, start_up, time_row, training_speed
from mededit_monai.benchmark.write import BENCH_FILES, write_bench
from mededit_monai.core.devices import require_device
from mededit_monai.core.errors import InputError
from mededit_monai.datasets.evaluation import cohort_facts, group_of, real_images, write_triplets
from mededit_monai.diseases import DISEASES
from mededit_monai.evaluation.columns import table_columns
from mededit_monai.evaluation.folder import check_limits, path_word, require_outside
from mededit_monai.evaluation.judging import evaluation_judge, extractors, judge_facts
from mededit_monai.evaluation.realism import RealismJudge
from mededit_monai.evaluation.run_row import (
    Job,
    lesion_areas,
    matching_bundle,
    read_cases,
    require_free_edits,
    run_row,
    shared_options,
    stored_planes,
)
from mededit_monai.evaluation.scores import Scorer, SetScores, values_of
from mededit_monai.io.atomic import write_json
from mededit_monai.io.datalist import read_datalist
from mededit_monai.io.held import held_folder
from mededit_monai.io.outputs import OutputFolder
from mededit_monai.io.provenance import DISCLAIMER, versions
from mededit_monai.judges.features import Extractor

PAIRED = "paired"

#: What was timed, kept for the next run.
TIMES_FILE = "times.json"

COLUMNS = (
    *("dice", "combined", "kid", "contrast", "zone_error", "outside_error"),
    *("ventricle_error", "ventricle_slope", "ventricle_r", "seam", "texture"),
)


@dataclass(frozen=True)
class BenchOptions:
    """
    What ``mededit bench`` is asked.

    Args:
        cohort: folder of ``mededit simulate``: the truth must be known.
        output: folder; an unfinished one is gone on with.
        bundle: name or folder; None for that of the cohort's disease.
        preset, cases, rows, config: see :func:`~mededit_monai.benchmark.plan.read_plan`.
        judge: folder of a judge; None for the shipped one.
        configs: files laid over the bundle's.
        seed, batch_size, device, progress: as for ``mededit evaluate``.
        speed: whether start-up, training and network sizes are timed too.
    """

    cohort: str
    output: str
    bundle: str | None = None
    preset: str = "full"
    cases: int | None = None
    rows: tuple[str, ...] = ()
    config: str | None = None
    judge: str | None = None
    configs: tuple[str, ...] = ()
    seed: int = 0
    batch_size: int = 16
    device: str | None = None
    progress: bool = False
    speed: bool = True

    def __post_init__(self) -> None:
        for name in ("cohort", "output", "config", "judge"):
            word = {"output": "output_dir", "config": "rows_file"}.get(name, name)
            object.__setattr__(self, name, path_word(word, getattr(self, name), optional=name in ("config", "judge")))
        for name in ("rows", "configs"):
            words = getattr(self, name)
            object.__setattr__(self, name, (words,) if isinstance(words, (str, os.PathLike)) else tuple(words))

    def check(self) -> None:
        """Raises InputError for a value that cannot be used."""
        check_limits(self, ("cases", "seed", "batch_size"))
        require_device(self.device)


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
    from mededit_monai.workflows import checked_overlays  # it imports what this package builds

    options.check()
    overlays = tuple(checked_overlays(options.configs))
    cohort = cohort_facts(options.cohort)
    if not cohort["paired"]:
        raise InputError(
            f"--cohort: {options.cohort} holds no pairs, and without the truth nothing says whether an edit kept the "
            f"patient's anatomy; give a cohort of 'mededit simulate'."
        )
    require_outside(options.output, options.cohort)
    root = matching_bundle(options.bundle, cohort["disease"])
    plan = read_plan(
        root, "mask", options.preset, options.cases, options.rows, options.config, all_cases=_on_gpu(options.device)
    )
    job = Job(Path(options.output), root, overlays, shared_options(options))
    inputs = [Path(options.cohort) / "datalist.json", options.config, options.judge, *overlays]
    names = [job.triplets(PAIRED).name, TIMES_FILE, *BENCH_FILES]
    OutputFolder(job.output, inputs).require_free(names)  # before hours of editing
    judge, known = evaluation_judge(cohort["disease"], options.judge), extractors(
        cohort["disease"], options.judge, None
    )
    with held_folder(job.output, names, inputs):
        return _run(options, cohort, plan, job, judge, known[""])


def _run(
    options: BenchOptions, cohort: Mapping[str, Any], plan: BenchPlan, job: Job, judge: Any, extractor: Extractor
) -> Path:
    root = job.root
    counts = write_triplets(options.cohort, job.triplets(PAIRED), PAIRED, plan.cases, options.seed)
    rows = [row for row in plan.rows if row.row.reason is None]
    cases = {PAIRED: [case["case_id"] for case in read_datalist(job.triplets(PAIRED))]}
    require_free_edits(job, [(row.row, PAIRED) for row in rows], cases)
    lines, times = _edit_and_time(job, rows, DISEASES[cohort["disease"]].pixel_mm)
    _say("scoring")
    realism = RealismJudge(extractor, real_images(options.cohort), options.seed)
    results = _scored(job, plan, rows, lines, times, realism, options.seed)
    content = {
        "synthetic": True,
        "note": DISCLAIMER,
        "bundle": root.name,
        "cohort": {key: cohort[key] for key in ("name", "disease", "simulator_version", "recipe")},
        "cases": counts,
        "judge": judge_facts(judge, cohort["disease"]),
        "extractor": extractor.name,
        "machine": machine(options.device),
        "versions": versions(),
        "seed": options.seed,
        "reference": plan.reference,
        "default": plan.default,
        "margins": dict(plan.margins),
        "rows": results,
        "left_out": {row.name: row.row.reason for row in plan.rows if row.row.reason is not None},
        **(_speed(root, plan) if options.speed else {}),
    }
    return write_bench(Path(options.output), content)


def _speed(root: Path, plan: BenchPlan) -> dict[str, Any]:
    _say("timing start-up, training and networks")
    return {
        "start_up": start_up(),
        "training": training_speed(str(root)),
        "networks": network_sizes(root, plan.networks),
    }


def _on_gpu(device: str | None) -> bool:
    return (device or ("cuda" if torch.cuda.is_available() else "cpu")).startswith("cuda")


def machine(device: str | None = None) -> dict[str, Any]:
    """What the times were taken on; no name of a host."""
    name = torch.cuda.get_device_name() if _on_gpu(device) else "CPU"
    return {"device": name, "threads": torch.get_num_threads(), "torch": torch.__version__}


def _edit_and_time(
    job: Job, rows: Sequence[BenchRow], pixel: float
) -> tuple[dict[tuple[str, str], list[dict[str, Any]]], dict[str, Timing]]:
    triplets = read_datalist(job.triplets(PAIRED))
    areas = lesion_areas(triplets, pixel)
    lines, place = {}, job.output / TIMES_FILE
    times = _known_times(place, job)
    for number, bench_row in enumerate(rows, start=1):
        row = bench_row.row
        if bench_row.cases is not None:
            row = with_changes(row, settings={**row.settings, "limit": bench_row.cases})
        _say(f"[{number}/{len(rows)}] {row.key}: {bench_row.cases or len(triplets)} cases")
        run_row(job, row, PAIRED)
        lines[row.key, PAIRED] = read_cases(job, row, PAIRED, areas)
        settings = json.dumps(row.settings, sort_keys=True)
        if row.control is None and times.get(row.key, ("", None))[0] != settings:
            times[row.key] = (settings, time_row(job, row))
            saved = {name: {"settings": key, **asdict(timing)} for name, (key, timing) in times.items()}
            write_json(place, {"machine": machine((job.options or {}).get("device")), "rows": saved})
    return lines, {name: timing for name, (_, timing) in times.items()}


def _known_times(place: Path, job: Job) -> dict[str, tuple[str, Timing]]:
    """Times that were taken before on a machine like this one."""
    try:
        content = json.loads(place.read_bytes())
        if content["machine"] != machine((job.options or {}).get("device")):
            return {}
        return {name: (entry.pop("settings"), Timing(**entry)) for name, entry in content["rows"].items()}
    except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _scored(
    job: Job,
    plan: BenchPlan,
    rows: Sequence[BenchRow],
    lines: Mapping[tuple[str, str], Sequence[Mapping[str, Any]]],
    times: Mapping[str, Timing],
    realism: RealismJudge,
    seed: int,
) -> list[dict[str, Any]]:
    cases = {case["case_id"]: case for case in read_datalist(job.triplets(PAIRED))}
    by_name = {row.name: row for row in rows}

    def sets(key: str, pairing: str, ending: str) -> SetScores:
        chosen = [cases[line["case_id"]] for line in lines[key, PAIRED]]
        planes = stored_planes(job.edits(by_name[key].row, PAIRED), chosen)
        return SetScores(realism, planes, [group_of(line) for line in lines[key, PAIRED]])

    scorer = Scorer(lines, sets, seed)
    columns = table_columns(COLUMNS, {"": realism.extractor.name}, (PAIRED,))
    held = {row.name: _row_cases(scorer, row.name) for row in rows}
    base, results = held.get(plan.reference), []
    slowest = times.get(plan.reference)
    for row in rows:
        timing = times.get(row.name)
        other = row.name != plan.reference and row.row.control in (None, "truth") and base is not None
        results.append(
            {
                "row": row.name,
                "label": row.row.label,
                "group": row.group,
                "value": row.value,
                "settings": dict(row.row.settings),
                "weights": None if row.row.weights is None or timing is None else row.row.weights.name,
                "n_cases": len(lines[row.name, PAIRED]),
                "nfe": timing.nfe if timing else 0,
                "seconds": timing.seconds if timing else None,
                "memory_mb": timing.memory_mb if timing else None,
                "per_minute": timing.per_minute if timing else None,
                "fewer_evaluations": slowest.nfe / timing.nfe if timing and slowest else None,
                "faster": slowest.seconds / timing.seconds if timing and slowest else None,
                "figures": {column.key: scorer.figure(row.name, column, "mask") for column in columns},
                "against_reference": (
                    against_reference(held[row.name], base, realism.real.values, plan.margins, seed) if other else None
                ),
            }
        )
    return results


def _row_cases(scorer: Scorer, name: str) -> RowCases:
    lines = scorer.lines[name, PAIRED]
    columns = [key for key, value in lines[0].items() if isinstance(value, float)]
    found = scorer.set_scores(name, PAIRED, "")
    features = None if found is None else found.features.values
    return RowCases({key: values_of(lines, key) for key in columns}, scorer.groups(name, PAIRED), features)


def _say(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)
