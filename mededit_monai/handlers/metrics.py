# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Metrics of edits in a bundle's evaluator, and the table of all cases that they leave."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from ignite import distributed as idist
from ignite.engine import Engine, Events
from monai.handlers import IgniteMetricHandler
from monai.utils import CommonKeys, string_list_all_gather

from mededit_monai.core.errors import InputError
from mededit_monai.core.paths import user_path
from mededit_monai.io.atomic import write_json, write_text
from mededit_monai.io.outputs import OutputFolder
from mededit_monai.metrics.case_metric import CaseMetric
from mededit_monai.metrics.set_metrics import FeatureSetMetric
from mededit_monai.metrics.statistics import bootstrap

#: Keys of a case that say whom it belongs to, the first that a batch holds: simulated patients share their anatomies.
GROUPED_BY = ("anatomy", "patient")


class EditMetric(IgniteMetricHandler):
    """
    MONAI's metric handler for measures that see more than prediction and label: prior, masks, ventricles, judges.

    What a metric needs is looked up by name in the engine's batch, then in its output; the edit in its output. Figures
    go into ``engine.state.metrics`` as ``<name>_<column>``, the first one also as ``<name>``, so that it can be a key
    metric.

    Args:
        metric_fn: a :class:`CaseMetric` or :class:`FeatureSetMetric`.
        name: in ``engine.state.metrics``; needed in a list of handlers, given by the evaluator for ``key_val_metric``.
        keys: the metric's word → key in batch or output, where they differ, for example ``{brain: prior_brain}``;
            ``pred`` stands for the edit.
        pred_transform: applied to the edits, for example ``to_unit_range`` where they are in [-1, 1].

    Raises:
        InputError: in the run, something needed that neither batch nor output holds.
    """

    def __init__(
        self,
        metric_fn: CaseMetric | FeatureSetMetric,
        name: str | None = None,
        keys: Mapping[str, str] | None = None,
        pred_transform: Callable[[torch.Tensor], torch.Tensor] | None = None,
    ) -> None:
        super().__init__(metric_fn=metric_fn, save_details=False)  # type: ignore[arg-type]
        self.name, self.keys = name, dict(keys or {})
        self.pred_transform = pred_transform

    def attach(self, engine: Engine, name: str | None = None) -> None:  # type: ignore[override]
        """Attach to a ``SupervisedEvaluator``, as a handler or as a metric."""
        if not (name or self.name):
            raise InputError(f"the handler of {type(self.metric_fn).__name__} has no name; give it one in the config.")
        super().attach(engine, name or self.name)
        for table in ("metric_details", "metric_columns", "metric_sets"):
            if not hasattr(engine.state, table):
                setattr(engine.state, table, {})

    def iteration_completed(self, engine: Engine) -> None:
        """Measure the batch."""
        needs = getattr(self.metric_fn, "needs", ())
        edits = self._find(engine, CommonKeys.PRED, ("output", "batch"))
        if self.pred_transform is not None:
            whole = isinstance(edits, torch.Tensor)
            edits = self.pred_transform(edits) if whole else [self.pred_transform(edit) for edit in edits]
        if isinstance(self.metric_fn, FeatureSetMetric):
            real = None if self.metric_fn.reference is not None else self._find(engine, "real")
            self.metric_fn(edits, real, self._groups(engine.state.batch))
        else:
            self.metric_fn(edits, {need: self._find(engine, need) for need in needs})  # type: ignore[arg-type]

    def _find(self, engine: Engine, word: str, places: Sequence[str] = ("batch", "output")) -> Any:
        key = self.keys.get(word, word)
        for place in places:
            held = getattr(engine.state, place)
            if isinstance(held, Mapping) and key in held:
                return held[key]
            if isinstance(held, (list, tuple)) and held and isinstance(held[0], Mapping) and key in held[0]:
                return [case[key] for case in held]  # decollated
        raise InputError(
            f"{type(self.metric_fn).__name__} needs '{key}', which neither the batch nor the output holds; add it "
            f"to the datalist or to the preprocessing, or give the handler keys: {{{word}: ITS_NAME}}."
        )

    @staticmethod
    def _groups(batch: Any) -> list[str] | None:
        """Who each case of a batch belongs to, as :func:`~mededit_monai.datasets.evaluation.group_of` has it."""
        found = (_names(batch, key) for key in (*GROUPED_BY, "case_id"))
        return next((names for names in found if names is not None), None)

    def completed(self, engine: Engine, name: str) -> None:
        """Write figures, and for the table the values of every case."""
        metrics: dict[str, Any] = engine.state.metrics
        try:
            found = self.metric_fn.aggregate()
        except ValueError as error:
            raise InputError(f"{name}: cannot be measured on these cases: {error}") from error
        if isinstance(self.metric_fn, FeatureSetMetric):
            result = asdict(self.metric_fn.result)  # type: ignore[arg-type]
            engine.state.metric_sets[name] = result  # type: ignore[attr-defined]
            metrics[name] = found
            metrics |= {f"{name}_{k}": v for k, v in result.items() if k not in ("metric", "value", "extractor")}
            return
        columns = [f"{name}_{column}" for column in self.metric_fn.columns]
        values = torch.atleast_1d(found).tolist()
        metrics |= dict(zip(columns, values))
        metrics[name] = values[0]
        engine.state.metric_details[name] = self.metric_fn.get_buffer()  # type: ignore[attr-defined]
        engine.state.metric_columns[name] = columns  # type: ignore[attr-defined]


class CaseTable:
    """
    One row a case, one named column a figure: ``cases.csv``; and ``summary.json`` with each figure's mean and 95 %
    interval (bootstrap over groups, then cases) and both counts; measures of the whole set under ``sets``.

    MONAI's ``MetricsSaver`` writes a file for every metric, with columns class0, class1, … and file names for cases; it
    can be attached beside this one.

    Args:
        output_dir: made if missing.
        ids: keys of the batch that name a case; the first must be there, the others where the batch holds them.
        group: which of them says who belongs together, the first that the batch holds; cases are independent if it
            holds none.
        seed: of the bootstrap.
        summary: whether ``summary.json`` is written; its intervals take a second or two.

    Raises:
        InputError: when the run starts, a file of these names that mededit did not write.
    """

    def __init__(
        self,
        output_dir: str | Path,
        ids: Sequence[str] = ("case_id", "anatomy", "patient", "stratum"),
        group: str | Sequence[str] = GROUPED_BY,
        seed: int = 0,
        summary: bool = True,
    ) -> None:
        self.output_dir, self.ids = user_path(output_dir), tuple(ids)
        self.group = (group,) if isinstance(group, str) else tuple(group)
        self.seed, self.summary = seed, summary
        self._rows: dict[str, list[str]] = {}

    def attach(self, engine: Engine) -> None:
        """Attach to a ``SupervisedEvaluator``; the place in the list of handlers does not matter."""
        engine.add_event_handler(Events.STARTED, self._start)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._keep)
        engine.add_event_handler(Events.COMPLETED, self)  # when every metric has written its values

    def _start(self, engine: Engine) -> None:
        self._rows.clear()
        if idist.get_rank() == 0:
            OutputFolder(self.output_dir).reserve(["cases.csv", *(["summary.json"] if self.summary else [])])

    def _keep(self, engine: Engine) -> None:
        batch = engine.state.batch
        for key in self.ids:
            names = _names(batch, key)
            if names is None and key == self.ids[0]:
                raise InputError(f"the batch holds no '{key}' to name the cases by; keep it in the preprocessing.")
            if names is not None:
                self._rows.setdefault(key, []).extend(names)

    def __call__(self, engine: Engine) -> None:
        """Gather the processes' rows and write both files, each whole or not at all."""
        several = idist.get_world_size() > 1
        columns: dict[str, Sequence] = {
            key: string_list_all_gather(names) if several else names for key, names in self._rows.items()
        }
        cases = len(columns[self.ids[0]])
        figures: dict[str, list[float]] = {}
        for name, heads in getattr(engine.state, "metric_columns", {}).items():
            values = engine.state.metric_details[name]  # type: ignore[attr-defined]
            if len(values) != cases:
                raise RuntimeError(f"{name} has {len(values)} values for {cases} cases; wanted one row a case.")
            figures |= dict(zip(heads, values.T.tolist()))
        if idist.get_rank() > 0:
            return
        if self.summary:
            sets = getattr(engine.state, "metric_sets", {})
            group = next((key for key in self.group if key in columns), None)
            self._summarise(figures, group, columns.get(group or ""), cases, sets)
        table = {**columns, **{head: [f"{v:.8g}" if v == v else "" for v in vs] for head, vs in figures.items()}}
        stream = io.StringIO(newline="")
        csv.writer(stream).writerows([list(table), *zip(*table.values())])
        write_text(self.output_dir / "cases.csv", stream.getvalue())

    def _summarise(
        self,
        figures: Mapping[str, Sequence[float]],
        group: str | None,
        groups: Sequence | None,
        cases: int,
        sets: Mapping[str, Any],
    ) -> None:
        summary = {}
        for head, values in figures.items():
            known = any(v == v for v in values)
            summary[head] = asdict(bootstrap(values, groups, seed=self.seed)) if known else None  # type: ignore[arg-type]
        content = {"group": group, "seed": self.seed, "cases": cases}
        content |= {"figures": summary, "sets": dict(sets)}
        write_json(self.output_dir / "summary.json", content)


def _names(batch: Any, key: str) -> list[str] | None:
    """What a batch, collated or a list of cases, holds under a key that names things; None if it has no such key."""
    if isinstance(batch, Mapping):
        found = batch.get(key)
    else:
        found = [case[key] for case in batch] if key in batch[0] else None
    return None if found is None else [str(name) for name in found]
