# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""What the methods are held against: doing nothing, the truth itself, and a method that is told of no lesion."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from monai.inferers import Inferer

from mededit_monai.core.errors import InputError, require_choice
from mededit_monai.methods.build import weights_digest, with_weights
from mededit_monai.methods.edit_options import EditOptions
from mededit_monai.methods.editor import Edit
from mededit_monai.methods.record import CHOSEN
from mededit_monai.space.flow import pull

#: Word of the option ``control`` → whether it needs the network.
CONTROLS = {"no_edit": False, "truth": False, "without_lesion": True}


class ControlEditor(Inferer):
    """
    An editor with one thing changed.

    Args:
        editor: of a method; says what may be edited.
        control: None: it does as it always does. ``no_edit``: the prior comes out. ``truth``: the true counterfactual
            comes out, which shows what a judge makes of a perfect edit. ``without_lesion``: edits the same region with
            all pathology channels zero, which shows how much comes from being told of the lesion.
        pixel_mm: side of a grid step; None: the controls displace nothing.
    """

    def __init__(self, editor: Any, control: str | None = None, pixel_mm: float | None = None) -> None:
        super().__init__()
        require_choice("control", control, (None, *CONTROLS))
        self.editor, self.control, self.pixel_mm = editor, control, pixel_mm

    def region(self, brain: torch.Tensor, pathology: torch.Tensor) -> torch.Tensor:
        """The method's own edit region M."""
        return self.editor.region(brain, pathology)

    def __call__(  # type: ignore[override]
        self,
        inputs: torch.Tensor,
        network: Callable[..., torch.Tensor],
        brain: torch.Tensor,
        pathology: torch.Tensor,
        truth: torch.Tensor | None = None,
        true_displacement: torch.Tensor | None = None,
        **facts: Any,
    ) -> Edit:
        """
        Args:
            inputs: prior scans in [-1, 1], Nx1xHxW[xD]; brain: masks, same shape.
            pathology: condition channels, NxKxHxW[xD]; truth: the true counterfactual, as ``inputs``.
            true_displacement: in mm along the axes, NxnxHxW[xD].
            facts: what else the editor takes.

        Returns:
            the edit. Where the true displacement is known, ``no_edit`` and ``truth`` have none and the true one among
            their ``extras``: what the measures make of doing nothing, and of a perfect edit.

        Raises:
            InputError: the truth is wanted and not known.
        """
        if self.control == "no_edit":
            nowhere = None if true_displacement is None else torch.zeros_like(true_displacement)
            return Edit(inputs, self.editor.region(brain, pathology), 0, self._displaced(inputs, nowhere))
        if self.control == "truth":
            if truth is None:
                raise InputError("--control truth: the cases have no 'image'; it goes with --pairing paired.")
            extras = self._displaced(inputs, true_displacement)
            return Edit(truth, self.editor.region(brain, pathology), 0, extras)
        told = torch.zeros_like(pathology) if self.control == "without_lesion" else pathology
        edited: Edit = self.editor(inputs, network, brain=brain, pathology=told, **facts)
        return edited

    def _displaced(self, scan: torch.Tensor, displacement: torch.Tensor | None) -> dict[str, torch.Tensor]:
        """What an edit with this displacement says of it; of a true one, no inverse is known."""
        if displacement is None or self.pixel_mm is None:
            return {}
        return {"displacement": displacement, "displaced": pull(scan, displacement / self.pixel_mm)}


def evaluation_network(network: torch.nn.Module, weights: Path | None, control: str | None) -> torch.nn.Module:
    """The network with its weights; one that does nothing for controls that ask none."""
    return with_weights(network, weights) if CONTROLS.get(str(control), True) else torch.nn.Identity()


def weights_identity(weights: Path | None, control: str | None) -> str | None:
    """SHA-256 of the weights that an edit depends on; None for controls without network. InputError: no such file."""
    return weights_digest(weights) if CONTROLS.get(str(control), True) else None


def deciding(options: EditOptions) -> dict[str, Any]:
    """The options that decide an edit in model space, resolved."""
    names = {"method", "condition", "seed", "effects", "global_atrophy"} | CHOSEN | set(options.own)
    return {name: value for name, value in options.recorded().items() if name in names}
