# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""The base of the per-case metrics: a MONAI cumulative metric with named columns that sees the whole case."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.metrics import CumulativeIterationMetric
from monai.metrics.utils import do_metric_reduction
from monai.utils import MetricReduction

from mededit_monai.core.errors import InputError

#: One case: name → HxW[xD] array (nxHxW[xD] for vectors).
Case = Mapping[str, np.ndarray]


class CaseMetric(CumulativeIterationMetric):
    """
    Measures of one case after another; MONAI's buffers, reduction and gathering over processes.

    Call it with the edits (Bx1xHxW[xD] in [0, 1], or a list of 1xHxW[xD]) and what else the measure needs: a mapping
    name → batch, or a list of mappings for decollated cases. Where one thing is needed, its tensor alone will do, so
    that MONAI's own ``IgniteMetricHandler`` with ``from_engine(["pred", "label"])`` drives it; the others go through
    :class:`mededit_monai.handlers.EditMetric`.

    Args:
        reduction: MONAI's; by default the mean over cases of each column, cases without a value (NaN) left out.

    Attributes:
        columns: names of the figures; needs: names of what a case must hold beside the edit.
    """

    columns: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()

    def __init__(self, reduction: MetricReduction | str = MetricReduction.MEAN_BATCH) -> None:
        super().__init__()
        self.reduction = reduction

    @abstractmethod
    def measure(self, edit: np.ndarray, case: Case) -> Sequence[float]:
        """The figures of one case, one a column; NaN for one that the case does not have."""

    def __call__(self, y_pred: Any, y: Any = None, **kwargs: Any) -> torch.Tensor:
        """
        Measure a batch and keep the figures.

        Returns:
            BxK, float64, one column a figure.

        Raises:
            InputError: something that the measure needs is missing.
        """
        rows = []
        for number in range(len(y_pred)):
            edit = _plane(y_pred[number], "the edit")
            if edit.ndim not in (2, 3):
                raise ValueError(f"an edit has shape {tuple(y_pred[number].shape)}; wanted 1xHxW or 1xHxWxD.")
            figures = [float(f) for f in self.measure(edit, self._case(y, number))]
            if len(figures) != len(self.columns):
                raise RuntimeError(f"{self} gave {len(figures)} figures for the columns {self.columns}.")
            rows.append(figures)
        values = torch.tensor(rows, dtype=torch.float64).reshape(-1, len(self.columns))
        if len(values):
            self.extend(values)
        return values

    def _compute_tensor(self, y_pred: torch.Tensor, y: torch.Tensor | None = None, **kwargs: Any) -> torch.Tensor:
        raise NotImplementedError("a CaseMetric measures case by case, see measure().")

    def _case(self, context: Any, number: int) -> dict[str, np.ndarray]:
        if not isinstance(context, Mapping):
            single = isinstance(context, (torch.Tensor, np.ndarray)) or not isinstance(context[number], Mapping)
            if single and len(self.needs) > 1:
                raise InputError(f"{self} needs {', '.join(self.needs)}; give them by name, not one tensor alone.")
            context = {self.needs[0]: context} if single else {k: {number: v} for k, v in context[number].items()}
        missing = [name for name in self.needs if name not in context]
        if missing:
            raise InputError(
                f"{self} needs {', '.join(missing)}, which the case does not hold (it has {', '.join(context)}); add "
                f"it to the batch or name it in the handler's keys."
            )
        return {name: _plane(context[name][number], name) for name in self.needs}

    def aggregate(self, reduction: MetricReduction | str | None = None) -> torch.Tensor:
        """
        Figures over all cases.

        Returns:
            K numbers by default; NaN for a figure that no case has.

        Raises:
            ValueError: before any case was measured.
        """
        data = self.get_buffer()
        if not isinstance(data, torch.Tensor):
            raise ValueError(f"{self} has not measured any case yet.")
        unknown = torch.isnan(data).all(dim=0)
        found = do_metric_reduction(data.clone(), reduction or self.reduction)[0]  # which puts 0 in place of NaN
        if found.shape == unknown.shape:  # 0 may be the best there is, and no case has the figure
            found = torch.where(unknown, torch.nan, found)
        return found


def _plane(data: Any, name: str) -> np.ndarray:
    """1xHxW[xD] without its channel; vectors (nxHxW[xD]) stay."""
    array = data.detach().cpu().numpy() if isinstance(data, torch.Tensor) else np.asarray(data)
    if array.ndim < 3:
        raise ValueError(f"{name} has shape {array.shape} in a case; wanted channel first, 1xHxW or 1xHxWxD.")
    return array[0] if array.shape[0] == 1 else array
