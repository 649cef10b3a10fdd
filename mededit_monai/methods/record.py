# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""What is known of an editing method, in one record; light to import."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from mededit_monai.core.errors import InputError
from mededit_monai.core.lazy import Later
from mededit_monai.core.options import Option
from mededit_monai.core.registry import Registry
from mededit_monai.space.conditions import CONDITION_CHANNELS, CONDITION_WEIGHTS, condition_width

METHODS: Registry[Method] = Registry(
    "method",
    tuple(
        f"mededit_monai.methods.{name}"
        for name in ("morph", "mededit", "naive_repaint", "sdedit", "palette", "palette_original")
    ),
)

#: Options that every sampler needs.
SAMPLING = frozenset({"steps", "spacing", "sampler", "eta"})

#: Options whose value means that nothing is done: a method that does not take them can be given these all the same.
NEUTRAL: Mapping[str, Any] = {
    "resample": 1,
    "jump": 1,
    "resample_above": 0,
    "start": 1,
    "guidance": 1,
    "mode": "corrected",
    "draw_regions": False,
}

#: Options of methods that denoise inside a region of the noised scan.
INPAINTING = SAMPLING | set(NEUTRAL) - {"draw_regions"}

#: Options that methods may take or not.
CHOSEN = SAMPLING | set(NEUTRAL) | {"dilation", "region"}


@dataclass(frozen=True)
class Network:
    """
    What a network sees and gives, and how it is trained. Methods may share one; the effects network is no method's own.

    Args:
        name: of the method that it belongs to, ``--family`` of a training.
        weights: file under a bundle's ``models/``; None: one file a condition. That for volumes has ``_3d`` behind it.
        spatial_dims: that it can have; (2,): volumes are given to it slice by slice.
        brain: whether the brain mask is a channel.
        pathology: how the pathology is: ``own`` channels of one condition, ``fused`` channels that take every
            condition in turn, or ``none``.
        scans: further image channels, by name, behind the pathology.
        state: the first channel: ``x_t``, a noisy scan, ``y_t``, a noisy change, or ``scan``, the scan within the
            brain, where nothing is denoised.
        prediction: what the network predicts: ``v_prediction``, ``epsilon`` or ``sample``, x0 itself.
        outputs: channels of the prediction, in 2-D.
        size: of the network, by its own ``spatial_dims``, where it is not the one that a bundle gives to all.
        build: builds it: ``(in_channels, out_channels, **size)``.
        batch: builds the batch preparation of a training: ``(scheduler, condition, even, **settings)``.
        loss: builds the loss: ``(kind, **settings)``.
        noising: builds what noises the image and asks the network: ``(scheduler)``.
        recipe: number of what a training holds the network against. It is written down from 2 on, so that no training
            goes on from a checkpoint of an earlier recipe.
        preview: settings of the edits that a training shows.
        training_options: options of its own in a training, by the part that takes them: ``batch``, ``loss``, or
            ``augmentation`` and ``network``, which are in the YAML.
    """

    name: str
    weights: str | None
    brain: bool
    pathology: str
    spatial_dims: tuple[int, ...] = (2, 3)
    scans: tuple[str, ...] = ()
    state: str = "x_t"
    prediction: str = "v_prediction"
    outputs: int = 1
    size: Mapping[int, Mapping[str, Any]] = field(default_factory=dict)
    build: Callable[..., Any] = Later("mededit_monai.networks.mask_conditioned_unet:MaskConditionedUNet")
    batch: Callable[..., Any] = Later("mededit_monai.training.prepare_batch:MaskConditionedPrepareBatch")
    loss: Callable[..., Any] = Later("mededit_monai.training.losses:DenoisingLoss")
    noising: Callable[..., Any] = Later("monai.inferers:DiffusionInferer")
    recipe: int = 1
    preview: Mapping[str, Any] = field(default_factory=lambda: {"steps": 20, "resample": 1})
    training_options: Mapping[str, tuple[Option, ...]] = field(default_factory=dict)

    def in_names(self, condition: str) -> tuple[str, ...]:
        """Names of the input channels, in order. InputError: unknown condition."""
        condition_width(condition)
        fused = sum(CONDITION_CHANNELS.values(), ())
        told = {"own": CONDITION_CHANNELS[condition], "fused": fused, "none": ()}[self.pathology]
        return (self.state, *(("brain",) if self.brain else ()), *told, *self.scans)

    def in_channels(self, condition: str) -> int:
        """Input channels."""
        return len(self.in_names(condition))

    def own_dims(self, spatial_dims: int) -> int:
        """Its own spatial dimensions for scans that are edited as slices (2) or volumes (3)."""
        return spatial_dims if spatial_dims in self.spatial_dims else self.spatial_dims[0]

    def weights_file(self, condition: str, spatial_dims: int = 2) -> str:
        """Name of the weight file under ``models/``, for slices or volumes. InputError: unknown condition."""
        condition_width(condition)
        name = self.weights or CONDITION_WEIGHTS[condition]
        return name.replace(".pt", "_3d.pt") if self.own_dims(spatial_dims) == 3 else name


@dataclass(frozen=True)
class Method:
    """
    An editing method.

    Args:
        name: ``--method``.
        summary: for ``--help`` and the reference, a phrase.
        editor: builds it: ``(scheduler, **settings)`` → :class:`~mededit_monai.methods.editor.Editor`; the settings
            are the options that the method takes, its own, and ``exact`` and ``progress``.
        network: what it asks; None: nothing.
        takes: the options among ``CHOSEN`` that have a meaning for it; others are refused.
        defaults: (disease, condition, spatial_dims) → what its options are where they are not given.
        region: word of its own edit region (see ``ToModelSpaced``): pathology, brain or image; None: ``--region``
            chooses.
        finds_region: whether it can find the region of change itself (``--region auto``).
        tells_condition: whether its editor wants to know what the pathology channels hold.
        options: of its own, beside those of every edit.
        spatial_dims: of the scans that it edits.
        volume_defaults: whether scans are edited as volumes where nothing is said, and as slices where one is chosen.
        fine: whether its network for volumes works in a box of the scan, on a grid finer than the model's.
    """

    name: str
    summary: str
    editor: Callable[..., Any]
    network: Network | None
    takes: frozenset[str] = SAMPLING
    defaults: Callable[[Any, str, int], Mapping[str, Any]] = lambda disease, condition, spatial_dims: {}
    region: str | None = None
    finds_region: bool = False
    tells_condition: bool = False
    options: tuple[Option, ...] = ()
    spatial_dims: tuple[int, ...] = (2, 3)
    volume_defaults: bool = False
    fine: bool = False

    def default_dims(self, slice_index: int | str) -> int:
        """Spatial dimensions of an edit where they are not given: 2 for one slice, whatever the method."""
        return 3 if self.volume_defaults and slice_index == "all" else 2

    def own_dims(self, spatial_dims: int) -> int:
        """Spatial dimensions of its network for scans edited as slices (2) or volumes (3)."""
        return spatial_dims if self.network is None else self.network.own_dims(spatial_dims)

    def paints_finely(self, spatial_dims: int) -> bool:
        """Whether scans edited as slices (2) or volumes (3) are painted on a grid finer than the model's."""
        return self.fine and spatial_dims == 3 and self.own_dims(3) == 3

    @property
    def of_editor(self) -> frozenset[str]:
        """Those of ``takes`` that its editor is built with; a region is drawn before and comes with the call."""
        return self.takes - {"region"}

    def weights_file(self, condition: str, spatial_dims: int = 2) -> str | None:
        """Name of the weight file under a bundle's ``models/``; None for a method without network."""
        return None if self.network is None else self.network.weights_file(condition, spatial_dims)

    def region_word(self, asked: str | None) -> str:
        """Word of the edit region for ``ToModelSpaced``: the method's own, or what ``--region`` asks for."""
        if self.region is not None:
            return self.region
        if asked == "auto":
            return "brain"  # the method finds the region; this only limits it
        return asked if asked in ("brain", "pathology") else "dilate" if asked in (None, "dilate") else "file"

    def refuse_unused(self, name: str, value: Any) -> None:
        """
        Refuse an option that the method does not take, unless the value means that nothing is done: one among
        ``CHOSEN``, or another method's own.

        Raises:
            InputError: with the way out.
        """
        takers = [one.name for one in METHODS.values() if name in {own.name for own in one.options}]
        if takers and self.name not in takers:
            raise InputError(f"--{name}: applies to --method {', '.join(takers)}, not to {self.name}; leave it out.")
        if name == "region" and name in self.takes and value == "auto" and not self.finds_region:
            finders = " and ".join(one.name for one in METHODS.values() if one.finds_region)
            raise InputError(
                f"--region: 'auto' is for --method {finders}, got {self.name}; wanted dilate, brain, pathology or a "
                f"mask FILE."
            )
        if name not in CHOSEN or name in self.takes or value is None or value == NEUTRAL.get(name):
            return
        if name == "region":
            takers = [method.name for method in METHODS.values() if "region" in method.takes]
            raise InputError(
                f"--region: applies to --method {', '.join(takers)}; {self.name} has its own, leave the option out."
            )
        if name == "dilation":
            raise InputError(
                f"--dilation: got {value!r}, but it applies to --region dilate, which {self.name} does not have; leave "
                f"it out or choose another --method."
            )
        raise InputError(
            f"--{name}: got {value!r}, which {self.name} cannot do; leave the option out or choose another --method."
        )


def own_options() -> dict[str, Option]:
    """Options of methods' own, by name."""
    return {one.name: one for method in METHODS.values() for one in method.options}


def networks() -> dict[str, Network]:
    """Every network that can be trained, by name: those of the methods, the effects network, and those of synthesis."""
    from mededit_monai.methods.morph import EFFECTS
    from mededit_monai.methods.semantic_synthesis import AUTOENCODER, MED_DDPM

    found = {method.network.name: method.network for method in METHODS.values() if method.network is not None}
    return found | {one.name: one for one in (EFFECTS, MED_DDPM, AUTOENCODER)}


def network_named(name: str) -> Network:
    """
    A network by its name, ``--family`` of a training.

    Raises:
        InputError: unknown name.
    """
    from mededit_monai.core.errors import require_choice

    known = networks()
    require_choice("family", name, tuple(known))
    return known[name]


def method_of(family: str) -> Method | None:
    """The first method that asks a network, by the network's name; None: none does by itself, as for ``effects``."""
    return next((one for one in METHODS.values() if one.network is not None and one.network.name == family), None)
