# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""What the methods are held against: doing nothing, the truth itself, and MedEdit that is told of no lesion."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from monai.inferers import Inferer

from mededit_monai.core.errors import InputError, require_choice
from mededit_monai.networks import load_weights, weights_sha256

#: Word of the option ``control`` → whether it needs the network.
CONTROLS = {"no_edit": False, "truth": False, "without_lesion": True}


class ControlInferer(Inferer):
    """
    An inferer with one thing changed.

    Args:
        inferer: of a method; says what may be edited.
        control: None: it does as it always does. ``no_edit``: the prior comes out. ``truth``: the true counterfactual
            comes out, which shows what a judge makes of a perfect edit. ``without_lesion``: edits the same region with
            all pathology channels zero, which shows how much comes from being told of the lesion.

    Attributes:
        nfe: network evaluations per case of the last call.
    """

    def __init__(self, inferer: Any, control: str | None = None) -> None:
        super().__init__()
        require_choice("control", control, (None, *CONTROLS))
        self.inferer, self.control = inferer, control
        self.nfe = 0

    def region(self, brain: torch.Tensor, pathology: torch.Tensor) -> torch.Tensor:
        """The method's own edit region M."""
        return self.inferer.region(brain, pathology)

    def __call__(  # type: ignore[override]
        self,
        inputs: torch.Tensor,
        network: Callable[..., torch.Tensor],
        pathology: torch.Tensor,
        truth: torch.Tensor | None = None,
        **facts: Any,
    ) -> torch.Tensor:
        """
        Args:
            inputs: prior scans in [-1, 1], Nx1xHxW[xD].
            pathology: condition channels, NxKxHxW[xD]; truth: the true counterfactual, as ``inputs``.
            facts: what else the inferer takes.

        Raises:
            InputError: the truth is wanted and not known.
        """
        self.nfe = 0
        if self.control == "no_edit":
            return inputs
        if self.control == "truth":
            if truth is None:
                raise InputError("--control truth: the cases have no 'image'; it goes with --pairing paired.")
            return truth
        told = torch.zeros_like(pathology) if self.control == "without_lesion" else pathology
        edited = self.inferer(inputs, network, pathology=told, **facts)
        self.nfe = self.inferer.nfe
        return edited


def evaluation_network(network: torch.nn.Module, weights: str | Path, control: str | None) -> torch.nn.Module:
    """The network with its weights; one that does nothing for controls that ask none."""
    return load_weights(network, weights) if CONTROLS.get(str(control), True) else torch.nn.Identity()


def weights_identity(weights: str | Path, control: str | None) -> str | None:
    """SHA-256 of the weights that an edit depends on; None for controls without network. InputError: no such file."""
    return weights_sha256(weights) if CONTROLS.get(str(control), True) else None
