# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Which training learns from which cases, and is measured on which."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from mededit_monai.core.errors import InputError
from mededit_monai.core.paths import user_path
from mededit_monai.datasets.splits import seeded
from mededit_monai.downstream.cases import (
    Cohort,
    Example,
    channels_of,
    common_shape,
    read_cohort,
    real_examples,
    synthetic_examples,
)
from mededit_monai.downstream.options import BATCH, DownstreamOptions, Row

#: Raise it whenever the same request gives another result.
RUN_VERSION = 2


@dataclass(frozen=True)
class Run:
    """
    A training: ``row`` on all folds but ``fold``, begun with ``seed``; numbers of its cases in the plan's list.

    Args:
        testing: real cases that are held out.
        synthetic: synthetic ones of patients that are all held out, where a row learns from real ones alone: what it
            finds in them says whether they show what their masks say.
    """

    row: Row
    fold: int
    seed: int
    training: tuple[int, ...]
    testing: tuple[int, ...]
    synthetic: tuple[int, ...] = ()

    @property
    def name(self) -> str:
        """Of its file in the output folder."""
        return f"runs/{self.row.key}_fold{self.fold}_seed{self.seed}.json"


@dataclass(frozen=True)
class Plan:
    """
    Args:
        options: as asked for, presets and batch size filled in.
        cohort: of the real cases; channels: keys of the images that the network is shown at once.
        cases: all, the real ones first; real: how many these are.
        shape: of a case; folds: patient → number of the fold in which it is held out.
        runs: row by row, in the order of the table.
    """

    options: DownstreamOptions
    cohort: Cohort
    channels: tuple[str, ...]
    cases: tuple[Example, ...]
    real: int
    shape: tuple[int, ...]
    folds: dict[str, int]
    runs: tuple[Run, ...]

    def request(self, run: Run) -> dict[str, Any]:
        """Everything that decides what a run finds."""
        o = self.options
        return {
            "version": RUN_VERSION,
            "row": asdict(run.row) | {"label": None, "published": None},
            "fold": run.fold,
            "seed": run.seed,
            "iterations": o.iterations,
            "batch_size": o.batch_size,
            "training": self._digest(run.training),
            "testing": self._digest(run.testing),
            "synthetic": self._digest(run.synthetic),
        }

    def _digest(self, numbers: Iterable[int]) -> str:
        return hashlib.sha256("".join(self.cases[number].digest for number in numbers).encode()).hexdigest()


def make_plan(options: DownstreamOptions) -> Plan:
    """
    Read what there is and decide who learns from what.

    Raises:
        InputError: a cohort or synthetic cases that cannot be used, too few patients, a fold without cases.
    """
    folder = user_path(options.cohort or "")
    cohort = read_cohort(folder, options.split, options.progress)
    synthetic, modalities = [], []
    if options.synthetic is not None:
        synthetic, modalities = synthetic_examples(user_path(options.synthetic), cohort)
    channels = channels_of(cohort, modalities)
    real = real_examples(cohort, channels)
    cases = (*real, *synthetic)
    shape = common_shape(cases)
    folds = folds_of([patient for case in real for patient in case.patients], options.folds or 2)
    runs = [
        Run(row, fold, seed, *_lists(row, fold, real, synthetic, folds))
        for row in options.chosen
        for fold in range(options.folds or 2)
        for seed in range(options.seeds or 3)
    ]
    fewest = min(runs, key=lambda run: len(run.training))
    wanted = min(options.batch_size or BATCH[len(shape)], len(fewest.training))
    if wanted < 2:
        raise InputError(
            f"--rows {fewest.row.key}: fold {fewest.fold} leaves {len(fewest.training)} cases to learn from, wanted at "
            f"least 2; give more cases, or fewer --folds."
        )
    if options.batch_size is not None and wanted < options.batch_size:
        raise InputError(
            f"--batch_size: got {options.batch_size}, but --rows {fewest.row.key} has {len(fewest.training)} cases to "
            f"learn from in fold {fewest.fold}; wanted at most that many."
        )
    options = replace(options, batch_size=wanted)
    return Plan(options, cohort, tuple(channels), cases, len(real), shape, folds, tuple(runs))


def folds_of(patients: Sequence[str], folds: int) -> dict[str, int]:
    """
    Patient → fold: dealt in an order that depends on their names alone, so that every seed has the same folds.

    Raises:
        InputError: fewer patients than folds.
    """
    order = sorted(set(patients), key=lambda name: seeded(0, "fold", name))
    if len(order) < folds:
        raise InputError(f"--folds: got {folds}, but the real cases are of {len(order)} patients; wanted at most that.")
    return {name: place % folds for place, name in enumerate(order)}


def _lists(
    row: Row, fold: int, real: Sequence[Example], synthetic: Sequence[Example], folds: dict[str, int]
) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    """Numbers of the cases that a row learns from, and of those, real and synthetic, that it is measured on."""
    held_out = {name for name, number in folds.items() if number == fold}
    learned = [number for number, case in enumerate(real) if row.real and not case.patients & held_out]
    shown = []
    if row.synthetic:
        learned += [len(real) + k for k, case in enumerate(synthetic) if not case.patients & held_out]
    else:
        shown = [len(real) + k for k, case in enumerate(synthetic) if case.patients <= held_out]
    return tuple(learned), tuple(number for number, case in enumerate(real) if case.patients & held_out), tuple(shown)
