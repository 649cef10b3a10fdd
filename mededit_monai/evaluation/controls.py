# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""What the methods are held against: nothing done, the truth, a method told of no lesion, volumes slice by slice."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
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
from mededit_monai.space.stack import slices_of, volumes_of

#: Word of the option ``control`` → whether it needs the network.
CONTROLS = {"no_edit": False, "truth": False, "without_lesion": True, "by_slice": True}


def control_dims(control: str | None, spatial_dims: int) -> int:
    """Spatial dimensions in which cases are edited: 2 for volumes that are edited slice by slice."""
    return 2 if control == "by_slice" else spatial_dims


class ControlEditor(Inferer):
    """
    An editor with one thing changed.

    Args:
        editor: of a method; says what may be edited.
        control: None: it does as it always does. ``no_edit``: the prior comes out. ``truth``: the true counterfactual
            comes out, which shows what a judge makes of a perfect edit. ``without_lesion``: edits the same region with
            all pathology channels zero, which shows how much comes from being told of the lesion. ``by_slice``: volumes
            are edited in every axial slice that holds lesion, by the method's networks for slices.
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
            InputError: the truth is wanted and not known, or slices are to be edited slice by slice.
        """
        if self.control == "no_edit":
            nowhere = None if true_displacement is None else torch.zeros_like(true_displacement)
            return Edit(inputs, self.editor.region(brain, pathology), 0, self._displaced(inputs, nowhere))
        if self.control == "truth":
            if truth is None:
                raise InputError("--control truth: the cases have no 'image'; it goes with --pairing paired.")
            extras = self._displaced(inputs, true_displacement)
            return Edit(truth, self.editor.region(brain, pathology), 0, extras)
        if self.control == "by_slice":
            if inputs.ndim != 5:
                raise InputError("--control by_slice: the cases are slices, wanted volumes; leave it out.")
            return self._by_slice(inputs, network, brain, pathology, **facts)
        told = torch.zeros_like(pathology) if self.control == "without_lesion" else pathology
        edited: Edit = self.editor(inputs, network, brain=brain, pathology=told, **facts)
        return edited

    def _by_slice(
        self,
        inputs: torch.Tensor,
        network: Callable[..., torch.Tensor],
        brain: torch.Tensor,
        pathology: torch.Tensor,
        seeds: Sequence[int],
        **facts: Any,
    ) -> Edit:
        """Volumes NxCxHxWxD as stacks of slices: those with lesion are edited, with the noise of their case."""
        depth = inputs.shape[-1]

        told = slices_of(pathology)
        where = told.flatten(1).any(dim=1)
        own = [seed for seed in seeds for _ in range(depth)]
        made = self.editor(
            slices_of(inputs)[where],
            network,
            brain=slices_of(brain)[where],
            pathology=told[where],
            seeds=[seed for seed, edited in zip(own, where.tolist()) if edited],
        )

        def whole(edited: torch.Tensor, elsewhere: torch.Tensor) -> torch.Tensor:
            found = elsewhere.clone()
            found[where] = edited.to(found)
            return volumes_of(found, depth)

        def still(edited: torch.Tensor) -> torch.Tensor:
            return edited.new_zeros(len(told), *edited.shape[1:])

        extras: dict[str, Any] = {}
        for name in ("displacement", "inverse", "velocity"):
            if name in made.extras:  # nothing moves across slices
                plane = made.extras[name]
                moved = torch.cat([plane, torch.zeros_like(plane[:, :1])], dim=1)
                extras[name] = whole(moved, still(moved))
        if "displaced" in made.extras:
            extras["displaced"] = whole(made.extras["displaced"], slices_of(inputs))
            extras["painted"] = whole(made.extras["painted"], still(made.extras["painted"]))
        image, region = whole(made.image, slices_of(inputs)), whole(made.region, still(made.region))
        return Edit(image, region, made.evaluations, extras)

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


def editing_with(options: EditOptions, control: str | None) -> EditOptions:
    """The options that a control edits with."""
    return replace(options, spatial_dims=control_dims(control, options.spatial_dims))


def deciding(options: EditOptions) -> dict[str, Any]:
    """The options that decide an edit in model space, resolved."""
    names = {"method", "condition", "seed", "effects", "global_atrophy"} | CHOSEN | set(options.own)
    return {name: value for name, value in options.recorded().items() if name in names}
