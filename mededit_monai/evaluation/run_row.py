# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Edit and measure one row on one pairing: the bundle's own ``evaluating`` workflow, with the row's settings."""

from __future__ import annotations

import csv
import io
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from monai.bundle import ConfigWorkflow
from monai.data import get_track_meta, set_track_meta

from mededit_monai.core.errors import InputError, raising_bad_input
from mededit_monai.core.paths import bundle_disease, bundle_root
from mededit_monai.core.plain_values import as_data
from mededit_monai.evaluation.edits import SETTINGS_FILE, read_edit
from mededit_monai.evaluation.realism import plane
from mededit_monai.evaluation.rows import Row
from mededit_monai.io.outputs import OutputFolder

#: Names of a case in ``cases.csv``; every other column is a figure.
NAMES = ("case_id", "anatomy", "patient", "stratum")


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


@contextmanager
def row_workflow(job: Job, row: Row, pairing: str, shard: str | None = None) -> Iterator[ConfigWorkflow]:
    """
    The bundle's ``evaluating`` workflow with a row's settings, initialised; MONAI's own settings are put back at the
    end.

    All values reach the config as data; a part that is to be built (with ``_target_``) comes from a file of rows alone.

    Raises:
        InputError: bad input, in one sentence, also of what is run inside.
    """
    from mededit_monai.workflows import _overrides  # it imports what this package builds

    folder = job.edits(row, pairing)
    given = _overrides(
        {
            **(job.options or {}),
            **{key: value for key, value in row.settings.items() if not _is_component(value)},
            "condition": row.condition,
            "pairing": pairing,
            "datalist": str(job.triplets(pairing).resolve()),
            "edits_dir": str(folder),
            "output_dir": str(folder),
            "row": row.key,
            "shard": shard,
        }
    )
    given |= {key: value for key, value in row.settings.items() if _is_component(value)}
    files = [str(job.root / "configs" / name) for name in ("train.yaml", "evaluate.yaml")]
    logging.getLogger("monai.bundle.workflows").setLevel(logging.ERROR)
    tracked = get_track_meta()
    try:
        with raising_bad_input():
            workflow = ConfigWorkflow(
                [*files, *map(str, job.overlays)],
                logging_file=False,
                workflow_type="train",
                run_id="evaluating",
                bundle_root=as_data(str(job.root)),
                **given,
            )
            workflow.initialize()
            yield workflow
            workflow.finalize()
    finally:
        set_track_meta(tracked)


def require_free_edits(job: Job, edited: Iterable[tuple[Row, str]], cases: Mapping[str, Sequence[str]]) -> None:
    """
    Before hours of editing: refuse files in the rows' folders that are in the way and not ours.

    Args:
        edited: rows and the pairings on which they are edited; cases: names of the triplets by pairing.

    Raises:
        InputError: names the first one.
    """
    for row, pairing in edited:
        names = (*(f"{case}.npz" for case in cases[pairing]), SETTINGS_FILE, "cases.csv")
        OutputFolder(job.edits(row, pairing)).require_free(names)


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


def shared_options(options: Any) -> dict[str, Any]:
    """
    What all rows take from the options of ``evaluate`` or ``bench``.

    Args:
        options: with ``seed judge batch_size progress device``.
    """
    return {
        "seed": options.seed,
        "judge": options.judge,
        "eval_batch_size": options.batch_size,
        "progress": options.progress,
        "summary": False,  # the tables have the intervals
        **({} if options.device is None else {"device": options.device}),
    }


def matching_bundle(bundle: str | None, disease: str) -> Path:
    """
    Folder of the bundle that a cohort is evaluated with.

    Args:
        bundle: name or folder; None for that of the cohort's disease.

    Raises:
        InputError: no such bundle, or one about another disease.
    """
    root = bundle_root(bundle or disease)
    if bundle_disease(root) != disease:
        about = f"--bundle: {root.name} is about '{bundle_disease(root)}'"
        raise InputError(f"{about}, wanted one about '{disease}' as the cohort is; leave the option out.")
    return root


def lesion_areas(cases: Sequence[Mapping[str, Any]], pixel: float) -> dict[str, float]:
    """Area of each case's lesion in mm²; pixel: its side in mm."""
    return {case["case_id"]: float((plane(case["pathology"]) > 0).sum()) * pixel**2 for case in cases}


def stored_planes(folder: Path, cases: Sequence[Mapping[str, Any]]) -> np.ndarray:
    """
    A row's stored edits times the scans' brain masks, NxHxW in [0, 1].

    Args:
        folder: of the row's edits; cases: with ``case_id`` and ``prior_brain``.

    Raises:
        InputError: an edit that is not there any more.
    """
    planes = []
    for case in cases:
        edit = read_edit(folder / f"{case['case_id']}.npz")
        if edit is None:
            raise InputError(f"{folder}: the edit of '{case['case_id']}' has gone; run the same command again.")
        planes.append(edit.edit * (plane(case["prior_brain"]) > 0))
    return np.stack(planes)


def read_cases(job: Job, row: Row, pairing: str, areas: Mapping[str, float]) -> list[dict[str, Any]]:
    """
    What was measured on a row, a dictionary a case, in the order of ``metrics.csv``; a missing figure is NaN.

    Args:
        areas: lesion's area by case, mm².
    """
    folder = job.edits(row, pairing)
    lines = list(csv.DictReader(io.StringIO((folder / "cases.csv").read_bytes().decode("utf-8"), newline="")))
    found = []
    for line in lines:
        edit = read_edit(folder / f"{line['case_id']}.npz")
        cost = {"nfe": edit.nfe, "seconds": edit.seconds} if edit else {}
        names = {name: line.get(name, "") for name in NAMES}
        figures = {key: float(text) if text else float("nan") for key, text in line.items() if key not in NAMES}
        found.append(case_line(row, pairing, names, areas[line["case_id"]], cost) | figures)
    return found


def case_line(
    row: Row, pairing: str, names: Mapping[str, Any], area: float, cost: Mapping[str, float]
) -> dict[str, Any]:
    """The leading columns of ``metrics.csv``."""
    return {
        "row": row.key,
        "label": row.label,
        "method": row.method,
        "condition": row.condition,
        "pairing": pairing,
        "case_id": names["case_id"],
        "patient": names.get("patient", ""),
        "anatomy": names.get("anatomy", ""),
        "stratum": names.get("stratum", ""),
        "lesion_area": area,
        "nfe": cost.get("nfe", 0),
        "seconds": cost.get("seconds", 0.0),
    }
