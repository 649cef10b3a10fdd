# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Edit and measure rows: each on a pairing by the bundle's own ``evaluating`` workflow, with the row's settings."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from monai.bundle import ConfigWorkflow
from monai.data import get_track_meta, set_track_meta

from mededit_monai.core.errors import InputError, raising_bad_input
from mededit_monai.core.loudness import hush, is_quiet
from mededit_monai.core.plain_values import as_data
from mededit_monai.core.running import running
from mededit_monai.datasets.evaluation import group_of, write_triplets
from mededit_monai.evaluation.edits import SETTINGS_FILE, read_edit
from mededit_monai.evaluation.realism import RealismJudge, plane
from mededit_monai.evaluation.rows import Row
from mededit_monai.evaluation.scores import Lines, SetScores
from mededit_monai.evaluation.write import read_lines
from mededit_monai.io.atomic import remove_unfinished
from mededit_monai.io.datalist import read_datalist
from mededit_monai.io.outputs import OutputFolder
from mededit_monai.metrics.carried import lesion_size
from mededit_monai.workflows import overrides

#: Rows with the pairings on which they are edited.
Edited = Sequence[tuple[Row, str]]

#: Names of a case in ``cases.csv``; every other column is a figure.
NAMES = ("case_id", "anatomy", "patient", "stratum")


#: The control that shows true images.
TRUTH = "truth"


def pairing_of_cases(row: Row, pairing: str) -> str:
    """
    Whose cases a row has on a pairing: the truth's are always pairs. Where scan and mask are of different people there
    is no true image, and those of the masks' own cases go through judge and features as perfect edits would.
    """
    return "paired" if row.control == TRUTH else pairing


@dataclass(frozen=True)
class Job:
    """
    What all rows of an evaluation share.

    Args:
        output: of ``mededit evaluate``.
        root: the bundle's folder; overlays: config files laid over its ``train.yaml`` and ``evaluate.yaml``.
        options: further options of these files, such as ``seed``, ``judge``, ``device``.
    """

    output: Path
    root: Path
    overlays: Sequence[str] = ()
    options: Mapping[str, Any] | None = None

    def edits(self, row: Row, pairing: str) -> Path:
        """Folder of a row's edits."""
        return self.output / "edits" / row.key / pairing

    def triplets(self, pairing: str) -> Path:
        """Datalist of a pairing."""
        return self.output / f"triplets_{pairing}.json"

    def cases(self, pairing: str) -> dict[str, dict[str, Any]]:
        """The cases of a pairing by their name."""
        return {case["case_id"]: case for case in read_datalist(self.triplets(pairing))}

    def areas(self, pairing: str, pixel: float) -> dict[str, float]:
        """Size of each case's lesion, mm² in slices and ml in volumes; pixel: its side in mm."""
        cases = self.cases(pairing).items()
        return {name: lesion_size(plane(case["pathology"]), pixel) for name, case in cases}


@contextmanager
def row_workflow(job: Job, row: Row, pairing: str, shard: str | None = None) -> Iterator[ConfigWorkflow]:
    """
    The bundle's ``evaluating`` workflow with a row's settings, initialised; MONAI's own settings are put back at the
    end.

    All values reach the config as data; a part that is to be built (with ``_target_``) comes from a file of rows alone.

    Raises:
        InputError: bad input, in one sentence, also of what is run inside.
    """
    folder = job.edits(row, pairing)
    given = overrides(
        {
            **(job.options or {}),
            **{key: value for key, value in row.settings.items() if not _is_component(value)},
            "condition": row.condition,
            "pairing": pairing_of_cases(row, pairing),
            "datalist": str(job.triplets(pairing_of_cases(row, pairing)).resolve()),
            "edits_dir": str(folder),
            "output_dir": str(folder),
            "row": row.key,
            **({} if row.cases is None else {"limit": row.cases}),
            "shard": shard,
        }
    )
    given |= {key: value for key, value in row.settings.items() if _is_component(value)}
    files = [str(job.root / "configs" / name) for name in ("train.yaml", "evaluate.yaml")]
    files += map(str, job.overlays)
    hush("monai.bundle.workflows", logging.ERROR)
    tracked = get_track_meta()
    try:
        with raising_bad_input():
            workflow = ConfigWorkflow(
                files,
                logging_file=False,
                workflow_type="train",
                run_id="evaluating",
                bundle_root=as_data(str(job.root)),
                **given,
            )
            with running(workflow.parser, files):
                workflow.initialize()
                yield workflow
                workflow.finalize()
    finally:
        set_track_meta(tracked)


def make_triplets(
    job: Job,
    cohort: str,
    edited: Edited,
    pairings: Iterable[str],
    cases: int,
    among: Collection[str] | None = None,
) -> dict[str, Any]:
    """
    Write the triplets of each pairing; their counts by pairing.

    Args:
        among: the test cases that masks and scans are taken from; None: all.

    Raises:
        InputError: a file in a row's folder, in the way of hours of editing, that mededit did not write.
    """
    seed, asked = (job.options or {})["seed"], list(pairings)
    wanted = dict.fromkeys([*asked, *(pairing_of_cases(row, pairing) for row, pairing in edited)])
    counts = {own: write_triplets(cohort, job.triplets(own), own, cases, seed, among) for own in wanted}
    known = {own: job.cases(own) for own in wanted}
    for row, pairing in edited:
        names = (*(f"{case}.npz" for case in known[pairing_of_cases(row, pairing)]), SETTINGS_FILE, "cases.csv")
        OutputFolder(job.edits(row, pairing)).require_free(names)
    return {pairing: counts[pairing] for pairing in asked}


def _is_component(value: Any) -> bool:
    return isinstance(value, Mapping) and "_target_" in value


def run_row(job: Job, row: Row, pairing: str, shard: str | None = None) -> None:
    """
    Make the edits of a row that are not there yet and, without a shard, measure all of them.

    Leaves ``CASE.npz``, ``settings.json`` and, measured, ``cases.csv`` in the row's folder.

    Args:
        shard: ``i/n``: edit every n-th case from the i-th, measure nothing.

    Raises:
        InputError: bad input, in one sentence.
    """
    with row_workflow(job, row, pairing, shard) as workflow:
        workflow.run()


def measured(
    job: Job, edited: Edited, pixel: float, then: Callable[[Row], None] | None = None
) -> dict[tuple[str, str], list[dict[str, Any]]]:
    """
    Make the edits that are missing, and measure all: lines of ``metrics.csv`` by row and pairing; for who holds the
    claim on the output folder.

    Args:
        pixel: side of a model pixel, mm; then: called with each row when it is measured.
    """
    lines = {}
    all_areas = {own: job.areas(own, pixel) for own in {pairing_of_cases(row, pairing) for row, pairing in edited}}
    for number, (row, pairing) in enumerate(edited, start=1):
        areas = all_areas[pairing_of_cases(row, pairing)]
        count = min(row.cases or len(areas), len(areas))
        say(f"[{number}/{len(edited)}] {row.key}, {pairing}: {count} cases")
        remove_unfinished(job.edits(row, pairing))  # of a run that was killed
        run_row(job, row, pairing)
        lines[row.key, pairing] = [
            case_line(row, pairing, case, areas[case["case_id"]]) for case in read_cases(job.edits(row, pairing))
        ]
        if then is not None:
            then(row)
    return lines


def read_cases(folder: Path) -> Iterator[dict[str, Any]]:
    """What was measured on a row: names, costs and figures of each case; a missing figure is NaN."""
    for line in read_lines(folder / "cases.csv"):
        edit = read_edit(folder / f"{line['case_id']}.npz")
        figures = {key: float(text) if text else float("nan") for key, text in line.items() if key not in NAMES}
        names = {name: line.get(name, "") for name in NAMES}
        yield names | ({"nfe": edit.nfe, "seconds": edit.seconds} if edit else {}) | figures


def case_line(row: Row, pairing: str, case: Mapping[str, Any], area: float) -> dict[str, Any]:
    """A line of ``metrics.csv``: who and what it is of, costs, figures; area: of the lesion, mm² or ml."""
    known = {"row": row.key, "label": row.label, "method": row.method, "condition": row.condition, "pairing": pairing}
    names = {name: case.get(name, "") for name in ("case_id", "patient", "anatomy", "stratum")}
    costs = {"lesion_area": area, "nfe": case.get("nfe", 0), "seconds": case.get("seconds", 0.0)}
    return known | names | costs | {key: value for key, value in case.items() if key not in names | costs}


def set_scores(
    job: Job, edited: Edited, lines: Lines, judges: Mapping[str, RealismJudge]
) -> Callable[[str, str, str], SetScores | None]:
    """
    Realism of a row's stored edits by its key, pairing and the ending of the extractor; None where it has none.

    Raises:
        InputError: when it is asked for, an edit that is not there any more.
    """
    rows = {(row.key, pairing): row for row, pairing in edited}

    def find(key: str, pairing: str, ending: str) -> SetScores | None:
        if (key, pairing) not in rows:
            return None
        row = rows[key, pairing]
        folder, cases, planes = job.edits(row, pairing), job.cases(pairing_of_cases(row, pairing)), []
        for name in (line["case_id"] for line in lines[key, pairing]):
            edit = read_edit(folder / f"{name}.npz")
            if edit is None:
                raise InputError(f"{folder}: the edit of '{name}' has gone; run the same command again.")
            planes.append(edit.edit * (plane(cases[name]["prior_brain"]) > 0))
        return SetScores(judges[ending], np.stack(planes), [group_of(line) for line in lines[key, pairing]])

    return find


def say(sentence: str) -> None:
    """Where a run is, on stderr of the first process."""
    if int(os.environ.get("RANK", 0)) == 0 and not is_quiet():
        print(sentence, file=sys.stderr, flush=True)
