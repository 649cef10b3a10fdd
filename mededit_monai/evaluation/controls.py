# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""What the methods are held against: nothing done, the truth, a method told of no lesion, slices for volumes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.inferers import Inferer

from mededit_monai.core.errors import InputError, require_choice
from mededit_monai.io.datalist import VOLUME_KEYS
from mededit_monai.io.nifti import read_array
from mededit_monai.methods.build import weights_digest, with_weights
from mededit_monai.methods.edit_options import EditOptions
from mededit_monai.methods.editor import Edit
from mededit_monai.methods.record import CHOSEN
from mededit_monai.space.conditions import condition_channels
from mededit_monai.space.flow import pull
from mededit_monai.space.intensity import to_model_range, to_unit_range
from mededit_monai.space.stack import slices_of, volumes_of

#: Word of the option ``control`` → whether it needs the network.
CONTROLS = {"no_edit": False, "truth": False, "without_lesion": True, "by_slice": True, "by_volume": True}

#: Those that edit in other dimensions than the cases have.
DIMS = {"by_slice": 2, "by_volume": 3}


def control_dims(control: str | None, spatial_dims: int) -> int:
    """Spatial dimensions in which cases are edited: 2 for volumes slice by slice, 3 for slices by their volumes."""
    return DIMS.get(str(control), spatial_dims)


def asks_network(control: str | None) -> bool:
    """Whether a row asks its networks: all but the controls that edit nothing."""
    return CONTROLS.get(str(control), True)


class ControlEditor(Inferer):
    """
    An editor with one thing changed.

    Args:
        editor: of a method; says what may be edited.
        control: None: it does as it always does. ``no_edit``: the prior comes out. ``truth``: the true counterfactual
            comes out, which shows what a judge makes of a perfect edit. ``without_lesion``: edits the same region with
            all pathology channels zero, which shows how much comes from being told of the lesion. ``by_slice``: volumes
            are edited in every axial slice that holds lesion, by the method's networks for slices. ``by_volume``:
            slices that were cut from volumes are cut from the edited volumes.
        pixel_mm: side of a grid step; None: the controls displace nothing.
        condition: what the volumes' pathology channels hold.
    """

    def __init__(
        self, editor: Any, control: str | None = None, pixel_mm: float | None = None, condition: str = "mask"
    ) -> None:
        super().__init__()
        require_choice("control", control, (None, *CONTROLS))
        self.editor, self.control, self.pixel_mm, self.condition = editor, control, pixel_mm, condition

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
        volumes: Sequence[Mapping[str, Any]] | None = None,
        **facts: Any,
    ) -> Edit:
        """
        Args:
            inputs: prior scans in [-1, 1], Nx1xHxW[xD]; brain: masks, same shape.
            pathology: condition channels, NxKxHxW[xD]; truth: the true counterfactual, as ``inputs``.
            true_displacement: in mm along the axes, NxnxHxW[xD].
            volumes: of each slice, its volume's files and place in it (see :mod:`mededit_monai.datasets.cut`).
            facts: what else the editor takes.

        Returns:
            the edit. Where the true displacement is known, ``no_edit`` and ``truth`` have none and the true one among
            their ``extras``: what the measures make of doing nothing, and of a perfect edit.

        Raises:
            InputError: the truth is wanted and not known, slices are to be edited slice by slice, or by volumes that
                they have not.
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
        if self.control == "by_volume":
            if volumes is None:
                raise InputError(
                    "--control by_volume: the cases know no volumes; give a cohort of 'mededit dataset slices', or "
                    "leave it out."
                )
            return self._by_volume(inputs, network, volumes, **facts)
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

    def _by_volume(
        self,
        inputs: torch.Tensor,
        network: Callable[..., torch.Tensor],
        volumes: Sequence[Mapping[str, Any]],
        seeds: Sequence[int],
        **facts: Any,
    ) -> Edit:
        """Slices Nx1xHxW of edited volumes, one after the other; what the volume's edit leaves stays as it was."""
        images, regions, evaluations = [], [], 0
        for scan, volume, seed in zip(inputs, volumes, seeds):
            arrays = {
                key: torch.from_numpy(read_array(volume[key]).astype(np.float32))
                for key in VOLUME_KEYS
                if key in volume
            }
            parts = {key.removeprefix("volume_"): array.to(inputs)[None, None] for key, array in arrays.items()}
            told = condition_channels(
                parts["regions" if self.condition == "regions" else "pathology"][0], self.condition
            )
            prior, brain, height = to_model_range(parts["prior"]), parts["brain"], int(volume["slice_index"])
            channels = told[None].to(inputs)
            region = self.editor.region(brain, channels)
            made = self.editor(prior, network, brain=brain, pathology=channels, region=region, seeds=[seed])
            before, after = (to_unit_range(one[0, ..., height]) for one in (prior, made.image))
            scaled = to_model_range((after / float(volume["volume_ceiling"])).clamp(0, 1))
            images.append(torch.where(after != before, scaled.to(scan), scan))
            regions.append(made.region[0, ..., height])
            evaluations = max(evaluations, made.evaluations)
        return Edit(torch.stack(images), torch.stack(regions), evaluations, {})

    def _displaced(self, scan: torch.Tensor, displacement: torch.Tensor | None) -> dict[str, torch.Tensor]:
        """What an edit with this displacement says of it; of a true one, no inverse is known."""
        if displacement is None or self.pixel_mm is None:
            return {}
        return {"displacement": displacement, "displaced": pull(scan, displacement / self.pixel_mm)}


def evaluation_network(network: torch.nn.Module, weights: Path | None, control: str | None) -> torch.nn.Module:
    """The network with its weights; one that does nothing for controls that ask none."""
    return with_weights(network, weights) if asks_network(control) else torch.nn.Identity()


def weights_identity(weights: Path | None, control: str | None) -> str | None:
    """SHA-256 of the weights that an edit depends on; None for controls without network. InputError: no such file."""
    return weights_digest(weights) if asks_network(control) else None


def deciding(options: EditOptions) -> dict[str, Any]:
    """The options that decide an edit in model space, resolved."""
    names = {"method", "condition", "seed", "effects", "global_atrophy"} | CHOSEN | set(options.own)
    return {name: value for name, value in options.recorded().items() if name in names}
