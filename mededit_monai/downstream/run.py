# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""`mededit downstream`: every row, fold and seed trained and measured, compared, and written."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from mededit_monai.core.devices import require_device
from mededit_monai.core.errors import InputError
from mededit_monai.core.paths import user_path
from mededit_monai.datasets.caching import cached_cases
from mededit_monai.downstream.cases import LoadExample
from mededit_monai.downstream.gain import RULE, row_figure
from mededit_monai.downstream.options import REFERENCE, DownstreamOptions, Row
from mededit_monai.downstream.plan import Plan, Run, make_plan
from mededit_monai.downstream.report import FILES, report_files
from mededit_monai.downstream.train import train_and_measure
from mededit_monai.io.atomic import json_bytes
from mededit_monai.io.held import held_folder
from mededit_monai.io.outputs import OutputFolder, make_folder, require_outside
from mededit_monai.io.provenance import versions

NOTE = "Research use only, not a medical device."

#: Measured of every held-out case.
FIGURES = ("dice", "iou")


def downstream(options: DownstreamOptions) -> Path:
    """
    Train every row on all folds but one, for every fold and seed, measure it on the real cases of that fold, and write
    ``results.json``, ``table.csv``, ``table.md``, ``cases.csv``, ``dice.png`` and ``report.html``.

    Run again it goes on: trainings that are done with the same options and the same bytes are kept.

    Returns:
        ``results.json``.

    Raises:
        InputError: bad input, in one sentence.
    """
    require_device(options.device)
    output = user_path(options.output_dir)
    for folder, what in ((options.cohort, "the cohort"), (options.synthetic, "the synthetic cases")):
        if folder is not None:
            require_outside(output, user_path(folder), what)
    OutputFolder(output).require_free(FILES)  # before all files are read
    plan = make_plan(options)
    inputs = [user_path(options.cohort or "") / "datalist.json", options.synthetic]
    with held_folder(output, FILES, inputs) as folder:
        found = _trained(plan, OutputFolder(output, inputs, overwrite=True))  # a run's damaged record is made again
        content = results_of(plan, found)
        folder.write({"results.json": json_bytes(content)} | report_files(content))
    return output / "results.json"


def _trained(plan: Plan, folder: OutputFolder) -> dict[str, Any]:
    """What every run found, by its name; those that are not done yet are done now."""
    folder.reserve(run.name for run in plan.runs)
    found = {run.name: done for run in plan.runs if (done := _finished(folder.path, run, plan)) is not None}
    todo = [run for run in plan.runs if run.name not in found]
    if not todo:
        return found
    make_folder(folder.path / "runs")
    o = plan.options
    device = o.device or ("cuda" if torch.cuda.is_available() else "cpu")
    entries = [case.entry() for case in plan.cases]
    cases = cached_cases(
        entries, LoadExample(plan.cohort.kind), cache_dir=folder.path / "prepared", progress=o.progress
    )
    with tqdm(total=len(todo) * int(o.iterations or 0), unit="step", disable=not o.progress, smoothing=0.02) as bar:
        for number, run in enumerate(todo, start=1):
            bar.set_description(f"[{number}/{len(todo)}] {run.row.label}, fold {run.fold}, seed {run.seed}")
            lists = (run.training, run.testing, run.row.augmentation, run.seed)
            size = (o.iterations or 0, o.batch_size or 0)
            done = train_and_measure(cases, *lists, *size, device, bar.update, run.synthetic)
            found[run.name] = {"request": plan.request(run), **done}
            folder.write({run.name: json_bytes(found[run.name])})
    return found


def _finished(output: Path, run: Run, plan: Plan) -> dict[str, Any] | None:
    """What a run found before, if the same was asked; None: it is to be done."""
    try:
        found: dict[str, Any] = json.loads((output / run.name).read_bytes())
        lines = [*found["cases"], *found["synthetic"]]
        names = {c["case_id"] for c in lines if all(c[key] is None or 0 <= c[key] <= 1 for key in FIGURES)}
        same = found["request"] == json.loads(json.dumps(plan.request(run)))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    wanted = {plan.cases[number].case_id for number in (*run.testing, *run.synthetic)}
    return found if same and names == wanted else None


def results_of(plan: Plan, found: Mapping[str, Any]) -> dict[str, Any]:
    """
    Content of ``results.json``.

    Args:
        found: of every run, by its name.
    """
    real = plan.cases[: plan.real]
    groups = [next(iter(case.patients)) for case in real]
    place = {case.case_id: k for k, case in enumerate(real)}
    o, rows = plan.options, []
    values = {row.key: {figure: np.full((o.seeds or 0, len(real)), np.nan) for figure in FIGURES} for row in o.chosen}
    for run in plan.runs:
        for case in found[run.name]["cases"]:
            for figure in FIGURES:
                value = case[figure]
                values[run.row.key][figure][run.seed, place[case["case_id"]]] = np.nan if value is None else value
    if not any(np.isfinite(one["dice"]).any() for one in values.values()):
        raise InputError(
            "--cohort: none of the held-out cases shows a lesion on its grid; prepare it with finer points."
        )
    for row in o.chosen:
        base = values.get(REFERENCE) if row.key != REFERENCE else None
        runs = [run for run in plan.runs if run.row == row]
        rows.append(
            {
                "row": row.key,
                "label": row.label,
                "published_dice": row.published,
                "training_cases": [len(run.training) for run in runs if run.seed == 0],
                **{key: row_figure(values[row.key][key], groups, base and base[key]) for key in FIGURES},
                "found_in_synthetic": _found_in_synthetic(plan, row, found),
                "runs": [_run_line(run, found[run.name]) for run in runs],
            }
        )
    cases = [
        {"row": row.key, "seed": seed, "case_id": case.case_id, "patient": group, "fold": plan.folds[group]}
        | {key: _number(values[row.key][key][seed, k]) for key in FIGURES}
        for row in o.chosen
        for seed in range(o.seeds or 0)
        for k, (case, group) in enumerate(zip(real, groups))
    ]
    return {
        "note": NOTE,
        "synthetic": len(plan.cases) > plan.real,
        "command": _command(o),
        "cohort": plan.cohort.name,
        "cohort_is_simulated": plan.cohort.simulated,
        "kind": plan.cohort.kind,
        "channels": list(plan.channels),
        "shape": list(plan.shape),
        "split": o.split,
        "real_cases": plan.real,
        "synthetic_cases": len(plan.cases) - plan.real,
        "patients": len(plan.folds),
        "folds": o.folds,
        "seeds": o.seeds,
        "iterations": o.iterations,
        "batch_size": o.batch_size,
        "rule": RULE,
        "versions": versions(),
        "rows": rows,
        "cases": cases,
    }


def _found_in_synthetic(plan: Plan, row: Row, found: Mapping[str, Any]) -> dict[str, Any] | None:
    """Dice of the row's trainings in synthetic cases of patients that they have not seen; None: there are none."""
    synthetic = plan.cases[plan.real :]
    place = {case.case_id: k for k, case in enumerate(synthetic)}
    values = np.full((plan.options.seeds or 0, len(synthetic)), np.nan)
    for run in plan.runs:
        for case in found[run.name]["synthetic"] if run.row == row else ():
            values[run.seed, place[case["case_id"]]] = np.nan if case["dice"] is None else case["dice"]
    if not np.isfinite(values).any():
        return None
    return row_figure(values, [" and ".join(sorted(case.patients)) for case in synthetic])


def _run_line(run: Run, found: Mapping[str, Any]) -> dict[str, Any]:
    shown = {key: [case[key] for case in found["cases"] if case[key] is not None] for key in FIGURES}
    means = {key: float(np.mean(values)) if values else None for key, values in shown.items()}
    return {"fold": run.fold, "seed": run.seed, **means, "loss": found["loss"], "seconds": found["seconds"]}


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _command(o: DownstreamOptions) -> str:
    """The command that makes the table, with folders by their names."""
    words = ["mededit downstream", f"--cohort {Path(o.cohort or '').name}"]
    words += [f"--synthetic {Path(o.synthetic).name}"] if o.synthetic else []
    words += [f"--rows {' '.join(o.rows or ())}", f"--split {o.split}"]
    words += [f"--{name} {getattr(o, name)}" for name in ("folds", "seeds", "iterations", "batch_size")]
    return " ".join([*words, f"-o {Path(o.output_dir).name}"])
