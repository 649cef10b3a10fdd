# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""
The embedded judge: a small network that ships with the package and finds lesion, tumour regions, ventricles and tissue.

It is an instrument: its Dice on held-out anatomies comes with it (``judge.ceiling``). That says how far its scores can
be trusted; it is not an upper bound for the scores of other cases.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.networks.nets import BasicUNet
from monai.networks.utils import pixelshuffle, pixelunshuffle
from scipy import ndimage

from mededit_monai.core.errors import InputError, require_choice
from mededit_monai.core.paths import user_path
from mededit_monai.diseases import DISEASES
from mededit_monai.judges.structures import as_masks, structures, without_tissue
from mededit_monai.networks.convolutions import quick_volumes
from mededit_monai.networks.weights import load_weights, weights_sha256
from mededit_monai.space.shapes import bounding_box

#: Where the shipped weights are.
WEIGHTS_FOLDER = Path(__file__).parent / "weights"

#: Feature channels of the networks for slices and for volumes, from the first level to the bottleneck, and of the last
#: layers.
CHANNELS = {2: (24, 32, 64, 128, 192, 24), 3: (16, 24, 48, 96, 128, 16)}

#: Groups of the normalisation: channels are multiples of them.
GROUPS = 8

#: Images judged at a time: slices, or volumes.
BATCH = {2: 32, 3: 1}

#: Side of the cells that a network for volumes folds into channels; without, a step takes eight times as long.
FOLD = 2

#: Volumes are seen in the brain's box and this much around it, at least this large a side; the logit of the rest.
MARGIN, SMALLEST, NOTHING = 4, 16 * FOLD, -20.0


class JudgeNetwork(torch.nn.Module):
    """
    MONAI's ``BasicUNet`` on two channels: scan x brain, and how far to the right of the brain's middle a pixel lies.

    A convolution does not know where it is, and left and right ventricle look alike: without the second channel they
    are learned apart only slowly, from the brain's outline. Group normalisation: instance normalisation would erase the
    levels that features for a FID consist of, and batch normalisation depends on the training set's appearance.

    For volumes, cells of ``FOLD`` voxels a side are folded into channels before the network, and unfolded behind it. It
    is shown the brain's box alone, so that the answer does not depend on how much is around.

    Args:
        structures: logits out.
        spatial_dims: 2 for slices, 3 for volumes.
        channels: six, as in ``CHANNELS``; None: those of ``spatial_dims`` there.
    """

    def __init__(self, structures: int, spatial_dims: int = 2, channels: Sequence[int] | None = None) -> None:
        super().__init__()
        self.spatial_dims = spatial_dims
        self.cells = 1 if spatial_dims == 2 else FOLD**spatial_dims
        features = CHANNELS[spatial_dims] if channels is None else tuple(channels)
        size = {"features": features, "norm": ("group", {"num_groups": GROUPS}), "upsample": "deconv"}
        self.unet = BasicUNet(spatial_dims, 2 * self.cells, structures * self.cells, **size)

    @property
    def multiple(self) -> int:
        """What the sides of an image must be multiples of."""
        return 16 if self.spatial_dims == 2 else FOLD

    @quick_volumes
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Nx1xHxW[xD] in [0, 1], sides multiples of ``multiple`` → logits NxKxHxW[xD]."""
        if self.spatial_dims == 2:
            return self.unet(torch.cat([images, side_of(images)], dim=1))
        box = judged_box((images > 0).any(dim=0)[0].cpu().numpy())
        cut = images[(..., *box)]
        folded = pixelunshuffle(torch.cat([cut, side_of(cut)], dim=1), spatial_dims=3, scale_factor=FOLD)
        found = pixelshuffle(self.unet(folded), 3, FOLD)
        logits = found.new_full((*found.shape[:2], *images.shape[2:]), NOTHING)
        logits[(..., *box)] = found
        return logits


def judged_box(brain: np.ndarray, margin: int = MARGIN) -> tuple[slice, ...]:
    """
    The box around a brain that a network for volumes is shown, a slice an axis, its ends even.

    Args:
        brain: bool HxWxD, sides even and at least ``SMALLEST``; empty: all of it. margin: voxels around.
    """
    if not brain.any():
        return tuple(slice(0, length) for length in brain.shape)
    box = []
    for length, (first, last) in zip(brain.shape, bounding_box(brain)):
        low, high = int(first) - margin, int(last) + 1 + margin
        short = max(0, SMALLEST - (high - low))
        low, high = low - short // 2, high + short - short // 2
        low = max(0, min(low, length - SMALLEST)) // FOLD * FOLD
        box.append(slice(low, min(length, -(-max(high, low + SMALLEST) // FOLD) * FOLD)))
    return tuple(box)


def side_of(images: torch.Tensor) -> torch.Tensor:
    """
    Position along axis 0 (left to right) from the middle of everything above 0, in halves of the image; 0 outside.

    Args:
        images: Nx1xHxW[xD], 0 outside the brain.
    """
    inside, axes = (images > 0).to(images.dtype), tuple(range(2, images.ndim))
    position = torch.linspace(-1, 1, images.shape[2], dtype=images.dtype, device=images.device)
    position = position.view(-1, *[1] * (len(axes) - 1))
    middle = (inside * position).sum(dim=axes, keepdim=True) / inside.sum(dim=axes, keepdim=True).clamp(min=1)
    return (position - middle) * inside


def judge_network(
    disease: str, names: Sequence[str] | None = None, spatial_dims: int = 2, channels: Sequence[int] | None = None
) -> JudgeNetwork:
    """The network of a disease's judge, one logit a structure (None: all of them), in random weights."""
    return JudgeNetwork(len(structures(disease) if names is None else names), spatial_dims, channels)


@dataclass
class Judge:
    """
    A network with what is known about it.

    Args:
        disease: its name.
        network: from :func:`judge_network`.
        name: with the start of the weights' SHA-256, so that results of two trainings cannot be mixed up.
        ceiling: structure → held-out Dice with its interval: ``{"value": …, "low": …, "high": …, "n_groups": …,
            "n_cases": …}``; None where it was not measured. Not an upper bound for other cases.
        facts: everything that the JSON beside the weights says.
    """

    disease: str
    network: torch.nn.Module
    name: str
    ceiling: dict[str, dict[str, float] | None] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def learned_from(self) -> set[str]:
        """Names of the anatomies of its training, as far as its facts tell."""
        place: Any = self.facts
        for key in ("training", "cohort", "anatomies", "training"):
            place = place.get(key) if isinstance(place, dict) else None
        return {name for name in place if isinstance(name, str)} if isinstance(place, list) else set()

    @property
    def structures(self) -> tuple[str, ...]:
        """What it looks for; one of before tissue was among them does not know tissue."""
        return tuple(self.facts.get("structures") or structures(self.disease))

    @property
    def peak(self) -> float:
        """How probable a piece of lesion must be somewhere to count (:func:`as_masks`); 0.5 where it was not chosen."""
        return float(self.facts.get("peak", 0.5))

    @property
    def portion(self) -> int:
        """How many images it looks at at a time."""
        return BATCH[self.spatial_dims]

    @property
    def spatial_dims(self) -> int:
        """2: it looks at slices, 3: at volumes."""
        return int(getattr(self.network, "spatial_dims", 2))

    def segment(self, images: np.ndarray | torch.Tensor) -> dict[str, np.ndarray]:
        """
        Find lesion, ventricles and tissue.

        Args:
            images: NxHxW (or HxW), scan x brain in [0, 1], RAS (axis 0 from left to right), model pixels; of a judge
                of volumes NxHxWxD (or HxWxD).

        Returns:
            ``pathology`` (bool, shape of the images), ``ventricles`` (uint8, 1 left, 2 right), ``tissue`` (uint8, 1
            fluid, 2 gray, 3 white matter; not from a judge that never learned it), and ``regions`` (uint8) if the
            disease has labels.

        Raises:
            InputError: another shape or range of values.
        """
        return as_masks(self.probabilities(images), self.disease, peak=self.peak)

    @torch.inference_mode()
    def probabilities(self, images: np.ndarray | torch.Tensor) -> np.ndarray:
        """
        Probability of each structure, float32 NxKxHxW[xD] in [0, 1]; channels as in ``structures(disease)``.

        Of volumes 0 outside the brain, where a dent in its surface may look like lost tissue.
        """
        batch = checked_images(images, self.spatial_dims)
        self.network.eval()
        found = np.concatenate([torch.sigmoid(self.network(part)).numpy() for part in batch.split(self.portion)])
        if self.spatial_dims == 3:
            for one, image in zip(found, batch.numpy()):
                one *= ndimage.binary_fill_holes(image[0] > 0)
        return found

    @torch.inference_mode()
    def features(self, images: np.ndarray | torch.Tensor) -> torch.Tensor:
        """Mean over the bottleneck's positions of each of its channels: float32 NxD, D as in ``CHANNELS``."""
        batch, found = checked_images(images, self.spatial_dims), []
        self.network.eval()
        last = self.network.unet.down_4
        hook = last.register_forward_hook(lambda _, __, out: found.append(out.flatten(2).mean(dim=2)))
        try:
            for part in batch.split(self.portion):
                self.network(part)
        finally:
            hook.remove()
        return torch.cat(found)


def checked_images(images: np.ndarray | torch.Tensor, spatial_dims: int = 2) -> torch.Tensor:
    """
    Images as a batch for the network, float32 Nx1xHxW[xD].

    Raises:
        InputError: another number of axes, sides that are no multiples of 16 (of volumes, odd ones), values outside
            [0, 1] or not finite.
    """
    multiple, least = (16, 16) if spatial_dims == 2 else (FOLD, 16 * FOLD)
    batch = torch.as_tensor(np.asarray(images) if not isinstance(images, torch.Tensor) else images.detach().cpu())
    batch = batch.float()
    batch = batch[None] if batch.ndim == spatial_dims else batch
    if batch.ndim != spatial_dims + 1 or not len(batch) or any(n % multiple or n < least for n in batch.shape[1:]):
        wanted = "NxHxW" if spatial_dims == 2 else f"NxHxWxD of at least {least}"
        raise InputError(
            f"the judge got images of shape {tuple(batch.shape)}; wanted {wanted} with sides that are multiples of "
            f"{multiple}."
        )
    low, high = float(batch.min()), float(batch.max())
    if not (low >= -1e-3 and high <= 1 + 1e-3):
        raise InputError(
            f"the judge got values from {low:g} to {high:g}; wanted 0 … 1, scan times brain mask (to_unit_range brings "
            f"a diffusion model's [-1, 1] there)."
        )
    return batch.clamp(0, 1)[:, None]


def judge_files(disease: str, folder: str | Path | None = None, spatial_dims: int = 2) -> tuple[Path, Path]:
    """Weights and facts of a disease's judge (of slices or volumes) in a folder; None for the shipped ones."""
    place = WEIGHTS_FOLDER if folder is None else user_path(folder)
    name = f"judge_{disease}" if spatial_dims == 2 else f"judge_{disease}_3d"
    return place / f"{name}.pt", place / f"{name}.json"


def load_judge(disease: str, folder: str | Path | None = None, spatial_dims: int = 2) -> Judge:
    """
    The judge of a disease.

    Args:
        disease: its name.
        folder: what ``mededit judge train`` wrote; None for the shipped one.
        spatial_dims: 2: of slices, 3: of volumes.

    Raises:
        InputError: unknown disease, or weights or facts that are missing or of another network.
    """
    require_choice("disease", disease, DISEASES.names())
    weights, place = judge_files(disease, folder, spatial_dims)
    if not weights.is_file() or not place.is_file():
        missing = weights if not weights.is_file() else place
        raise InputError(
            f"{missing}: not found; train a judge with 'mededit judge train --cohort DIR -o OUT' and give OUT with "
            f"--weights."
        )
    try:
        facts = json.loads(place.read_bytes())
        found = tuple(facts.get("structures", ()))
        if not isinstance(facts.get("ceiling", {}), dict):
            raise TypeError("'ceiling' is no object")
    except (ValueError, TypeError, AttributeError) as error:
        raise InputError(f"{place}: is not valid JSON ({error}); copy it again from where it was trained.") from error
    if found not in (structures(disease), without_tissue(disease)):
        raise InputError(
            f"{place}: has the structures {list(found)}, wanted {list(structures(disease))}; train the judge again."
        )
    channels = facts.get("channels", CHANNELS[spatial_dims])
    if not _can_be_channels(channels):
        raise InputError(
            f"{place}: has the channels {channels!r}, wanted six multiples of {GROUPS}; copy it again from where "
            f"it was trained."
        )
    peak = facts.get("peak", 0.5)
    if isinstance(peak, bool) or not isinstance(peak, int | float) or not 0.5 <= peak < 1:
        raise InputError(
            f"{place}: has the peak {peak!r}, wanted a number of at least 0.5 and below 1; copy it again from where it "
            f"was trained."
        )
    network = load_weights(judge_network(disease, found, spatial_dims, channels), weights).eval()
    digest = weights_sha256(weights)
    if facts.get("weights_sha256") != digest:
        raise InputError(
            f"{place}: is about weights {str(facts.get('weights_sha256'))[:12]}, but {weights.name} is {digest[:12]}; "
            f"copy both files from one training."
        )
    return Judge(disease, network, judge_name(disease, digest, spatial_dims, peak), facts.get("ceiling", {}), facts)


def _can_be_channels(given: Any) -> bool:
    """Whether a network can be built with what the facts give as its channels."""
    if not isinstance(given, list | tuple) or len(given) != len(CHANNELS[2]):
        return False
    return all(type(n) is int and 0 < n <= 4096 and not n % GROUPS for n in given)


def shipped_volume_judge(disease: str) -> Judge | None:
    """The judge of volumes that comes with the package; None if there is none."""
    return load_judge(disease, None, 3) if all(place.is_file() for place in judge_files(disease, None, 3)) else None


def judge_name(disease: str, digest: str, spatial_dims: int = 2, peak: float = 0.5) -> str:
    """Name of a judge: disease, whether it is one of volumes, start of its weights' SHA-256, and its peak, if any."""
    volumes = "3d_" if spatial_dims == 3 else ""
    return f"mededit_judge_{disease}_{volumes}{digest[:8]}" + (f"_peak{1000 * peak:.0f}" if peak > 0.5 else "")
