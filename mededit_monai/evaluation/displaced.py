# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""What measures of displaced scans need beside an edit: the true displacement, and what is left without a lesion."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from functools import partial
from typing import Any

import numpy as np
import torch
from ignite.engine import Engine, Events
from monai.transforms import Transform

from mededit_monai.handlers.evaluator import EDIT
from mededit_monai.io.displacement import read_displacement
from mededit_monai.methods.effects import EffectsEditor, effects_channels
from mededit_monai.methods.paint import paint_region
from mededit_monai.methods.paint_editor import PaintEditor
from mededit_monai.sampling.noise import case_seed
from mededit_monai.space.conditions import condition_channels, condition_width, fused_channels, fused_width
from mededit_monai.space.intensity import to_model_range, to_unit_range


class TrueDisplacementd(Transform):
    """
    Read a case's ``displacement``, a file of the cohort, as ``true_displacement``, nxHxW[xD] in mm along the axes.

    Args:
        spatial_dims: n; of a slice, the component across it is left out.
    """

    def __init__(self, spatial_dims: int = 2) -> None:
        self.spatial_dims = spatial_dims

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        case = dict(data)
        case["true_displacement"] = torch.from_numpy(read_along_axes(case.pop("displacement"), self.spatial_dims))
        return case


def read_along_axes(path: str, spatial_dims: int) -> np.ndarray:
    """
    A displacement in mm along the axes of its own grid, nxHxW[xD] float32; exactly 0 where the file is.

    Args:
        spatial_dims: 2 for a grid of one slice.

    Raises:
        InputError: what :func:`~mededit_monai.io.displacement.read_displacement` refuses.
    """
    field, affine = read_displacement(path)
    axes = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    if not np.allclose(axes, np.eye(3), atol=1e-4):
        field = np.einsum("ij,jxyz->ixyz", np.linalg.inv(axes), field).astype(np.float32)
    return np.ascontiguousarray(field[:2, ..., 0] if spatial_dims == 2 else field)


class ShowDisplacement:
    """
    Put what an edit says of its displacement (``Edit.extras``) into the engine's output, where metrics look:
    ``displacement`` and ``inverse`` (mm) and ``displaced``, in [0, 1]. Attach it before the metrics.
    """

    def attach(self, engine: Engine) -> None:
        """Attach to a ``SupervisedEvaluator`` of edits."""
        engine.add_event_handler(Events.ITERATION_COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        extras = engine.state.output[EDIT].extras
        found = {name: extras[name].float() for name in ("displacement", "inverse") if name in extras}
        if "displaced" in extras:
            found["displaced"] = to_unit_range(extras["displaced"]).float()
        engine.state.output |= found


class WithoutLesion:
    """
    What is left of an edit that is told of no lesion, for :class:`~mededit_monai.metrics.CompositionMetric`.

    ``composed``: the edit with an empty mask by the method behind the effects, whose network gives 0; the command line
    refuses an empty mask. ``ungated_velocity``: what the effects network says to it, tapered as ever, not set to 0.
    ``ungated_paint``, in [0, 1]: what the painter would add where the case's lesion is, told of none; NaN for another
    method, and for volumes. ``ungated_place``: there. Attach it before the metrics.

    Args:
        editor: of ``evaluate.yaml``, with effects; network: the method's.
    """

    def __init__(self, editor: EffectsEditor, network: Callable[..., torch.Tensor]) -> None:
        self.editor, self.network = editor, network

    def attach(self, engine: Engine) -> None:
        """Attach to a ``SupervisedEvaluator`` of edits."""
        engine.add_event_handler(Events.ITERATION_COMPLETED, self)

    @torch.no_grad()
    def __call__(self, engine: Engine) -> None:
        batch, device = engine.state.batch, engine.state.output[EDIT].image.device
        prior = to_model_range(batch["prior"].to(device))
        brain, pathology = batch["brain"].to(prior), batch["pathology"].to(prior)
        empty = prior.new_zeros(len(prior), condition_width(self.editor.condition), *prior.shape[2:])
        editor, seeds = self.editor.editor, [case_seed(0, str(case)) for case in batch["case_id"]]
        width = getattr(self.network, "out_channels", 1)
        composed = editor(prior, partial(_nothing, width), brain=brain, pathology=empty, seeds=seeds).image
        seen = effects_channels(prior, brain, fused_channels(empty, self.editor.condition))
        found = {
            "composed": to_unit_range(composed),
            "ungated_velocity": self.editor.network.velocity(seen, gated=False).velocity,
            "ungated_place": paint_region(pathology, brain),
            "ungated_paint": torch.full_like(prior, float("nan")),
        }
        if isinstance(editor, PaintEditor) and prior.ndim == 4:  # of volumes it would double the time of an evaluation
            told_of_none = _ToldOfNone(self.network)
            channels = self._channels(pathology, batch)
            edit = editor(prior, told_of_none, brain=brain, pathology=channels, seeds=seeds)
            found["ungated_paint"] = to_unit_range(edit.image) - to_unit_range(prior)
        engine.state.output |= {name: one.cpu() for name, one in found.items()}

    def _channels(self, pathology: torch.Tensor, batch: Mapping[str, Any]) -> torch.Tensor:
        """Condition channels of the cases, as the editor takes them."""
        masks = batch["regions"].to(pathology) if self.editor.condition == "regions" else pathology
        return torch.stack([condition_channels(mask, self.editor.condition) for mask in masks])


class _ToldOfNone:
    """The painter, with the channels of the lesion set to 0 behind the editor's back: it paints where it is told to."""

    def __init__(self, network: Any) -> None:
        self.network, self.spatial_dims = network, getattr(network, "spatial_dims", 3)

    def __call__(self, x: torch.Tensor, timesteps: torch.Tensor) -> torch.Tensor:
        told = slice(2, 2 + fused_width())  # behind y_t and b
        x = x.clone()
        x[:, told] = 0
        found: torch.Tensor = self.network(x, timesteps=timesteps)
        return found


def _nothing(width: int, x: torch.Tensor, timesteps: torch.Tensor) -> torch.Tensor:
    """A network that gives 0, in so many channels."""
    return x.new_zeros(len(x), width, *x.shape[2:])
