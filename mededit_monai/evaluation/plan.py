# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""What ``mededit evaluate`` and ``mededit bench`` are asked, and what is to be done for it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from mededit_monai.cluster.where import require_cluster
from mededit_monai.core.devices import require_device
from mededit_monai.core.errors import InputError, require_choice
from mededit_monai.core.paths import bundle_root
from mededit_monai.datasets.editing import share_of
from mededit_monai.datasets.evaluation import cohort_facts, edited_half
from mededit_monai.datasets.pairing import PAIRINGS
from mededit_monai.diseases.bundle import bundle_disease
from mededit_monai.evaluation.columns import COLUMNS, OF_FEATURES
from mededit_monai.evaluation.folder import LIMITS, check_limits, path_word
from mededit_monai.evaluation.rows import AREA, Row, planned_rows
from mededit_monai.evaluation.run_row import TRUTH, Job
from mededit_monai.evaluation.tables import PRESETS, Table, chosen_tables
from mededit_monai.io.outputs import OutputFolder, require_outside
from mededit_monai.workflows import checked_overlays


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """
    What ``mededit evaluate`` and ``mededit bench`` are asked alike.

    Args:
        cohort: folder of ``mededit simulate`` or ``mededit dataset``.
        output: folder; an unfinished one is gone on with.
        bundle: name or folder; None for that of the cohort's disease.
        judge: folder of a judge, embedded or nnU-Net; None for the shipped one.
        configs: files laid over the bundle's, for a network of another size.
        seed: of triplets, edits and resampling; batch_size: cases edited at a time.
        device: ``cpu``, ``cuda``, …; None: a GPU if there is one.
        progress: bars on stderr.
    """

    cohort: str
    output: str
    bundle: str | None = None
    judge: str | None = None
    configs: tuple[str, ...] = ()
    seed: int = 0
    batch_size: int = 16
    device: str | None = None
    progress: bool = False

    #: Paths by the option's name on the command line, and options that may be repeated.
    PATHS: ClassVar[Mapping[str, str]] = {"cohort": "cohort", "output": "output_dir", "judge": "judge"}
    REPEATED: ClassVar[tuple[str, ...]] = ("configs",)

    def __post_init__(self) -> None:
        optional = {field.name for field in fields(self) if field.default is None}
        for name, word in self.PATHS.items():
            object.__setattr__(self, name, path_word(word, getattr(self, name), optional=name in optional))
        for name in self.REPEATED:
            words = getattr(self, name)
            object.__setattr__(self, name, (words,) if isinstance(words, (str, os.PathLike)) else tuple(words))

    def check(self) -> None:
        """Raises InputError for a value that cannot be used."""
        check_limits(self, [name for name in LIMITS if hasattr(self, name)])
        require_device(self.device)

    def start(self) -> tuple[dict[str, Any], Job]:
        """
        Facts of the cohort, and what all rows share.

        Raises:
            InputError: an option, cohort or bundle that cannot be used, or a bundle about another disease.
        """
        self.check()
        overlays = tuple(checked_overlays(self.configs))
        cohort = cohort_facts(self.cohort)
        require_outside(self.output, self.cohort)
        root, disease = bundle_root(self.bundle or cohort["disease"]), cohort["disease"]
        if bundle_disease(root) != disease:
            about = f"--bundle: {root.name} is about '{bundle_disease(root)}'"
            raise InputError(f"{about}, wanted one about '{disease}' as the cohort is; leave the option out.")
        shared = {"seed": self.seed, "judge": self.judge, "eval_batch_size": self.batch_size, "progress": self.progress}
        shared |= {"summary": False}  # the tables have the intervals
        shared |= {"spatial_dims": cohort["spatial_dims"]}
        if cohort["spatial_dims"] == 3:  # a volume is a batch of its own: of memory, not of speed
            shared |= {"eval_batch_size": 1}
        shared |= {} if self.device is None else {"device": self.device}
        return cohort, Job(Path(self.output), root, overlays, shared)


@dataclass(frozen=True, kw_only=True)
class EvaluationOptions(RunOptions):
    """
    What ``mededit evaluate`` is asked, beside :class:`RunOptions`.

    Args:
        tables: numbers such as ``5.1``, YAML files, or ``all``.
        pairing: ``thesis``, ``paired`` or ``both``.
        preset: ``quick``, ``every`` or ``full``; limit: at most so many triplets a pairing; steps: noise levels in
            place of the preset's.
        shard: ``i/n``: edit a share of the cases and stop.
        cluster: where workers edit (:class:`~mededit_monai.cluster.where.Where`); None: here.
        features: ``imagenet``, or weights of RadImageNet's ResNet50, for a second set of realism columns.
        report: whether ``report.html`` is written; html: and pages in which its best, median and worst cases are
            looked at.
    """

    tables: tuple[str, ...]
    pairing: str = "both"
    preset: str = "quick"
    limit: int | None = None
    steps: int | None = None
    shard: str | None = None
    cluster: str | None = None
    features: str | None = None
    report: bool = True
    html: bool = False

    PATHS = {**RunOptions.PATHS, "features": "features"}
    REPEATED = ("tables", "configs")

    @property
    def pairings(self) -> tuple[str, ...]:
        """The pairings asked for."""
        return PAIRINGS if self.pairing == "both" else (self.pairing,)

    def check(self) -> None:
        """Raises InputError for a value that cannot be used."""
        require_choice("pairing", self.pairing, (*PAIRINGS, "both"))
        require_choice("preset", self.preset, PRESETS)
        if self.html and not self.report:
            raise InputError("--html: was given together with --no_report, which leads to its pages; give one of them.")
        super().check()
        share_of([], self.shard)
        require_cluster(self.cluster)


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
    def flat(self) -> bool:
        """Whether the cases are slices: features of images know no volumes."""
        return bool(self.cohort["spatial_dims"] == 2)

    @property
    def pairings(self) -> tuple[str, ...]:
        """The pairings asked for; volumes are edited with their own lesions alone."""
        return self.options.pairings if self.flat else ("paired",)

    @property
    def cases(self) -> int:
        """How many triplets a pairing."""
        most = max(table.presets[self.options.preset]["cases"] for table in self.tables)
        return most if self.options.limit is None else min(most, self.options.limit)

    @property
    def edited(self) -> list[tuple[Row, str]]:
        """Rows with edits, on each pairing on which they can be made."""
        return [
            (row, pairing)
            for row in self.rows.values()
            for pairing in self.pairings
            if row.reason is None and row.control != AREA
            if row.control != TRUTH or pairing == "paired" or self.cohort["paired"]
        ]

    @property
    def truths(self) -> dict[str, str]:
        """Condition → key of the row of the true images, where there is one."""
        return {row.condition: row.key for row in self.rows.values() if row.control == TRUTH}

    @cached_property
    def among(self) -> list[str] | None:
        """The test cases that are edited, where the images of the others are what realism is measured to; None: all."""
        kinds = {COLUMNS[key].kind for table in self.tables for key in table.columns}
        measured = self.flat and self.cohort["paired"] and kinds & set(OF_FEATURES)
        return edited_half(self.options.cohort, self.options.seed) if measured else None


def make_plan(options: EvaluationOptions) -> Plan:
    """
    Check what was asked.

    Raises:
        InputError: an option, table, cohort or bundle that does not fit.
    """
    cohort, job = options.start()
    tables = chosen_tables(options.tables, cohort["disease"])
    if cohort["spatial_dims"] == 3 and options.pairing == "thesis":
        raise InputError(
            f"--pairing: got 'thesis', but {options.cohort} holds volumes, which are evaluated against their own "
            "truth; wanted paired."
        )
    if "paired" in options.pairings and not cohort["paired"]:
        raise InputError(
            f"--pairing: got '{options.pairing}', but {options.cohort} holds no pairs (cases with 'prior', 'image' and "
            "the ventricles of both); give --pairing thesis, or a cohort of 'mededit simulate'."
        )
    rows = planned_rows(tables, options.preset, job.root, options.steps, cohort["spatial_dims"])
    return Plan(options, cohort, tables, rows, job)
