# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""A method's editor, and its network, from its record and the options of an edit."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from monai.networks.schedulers import Scheduler

from mededit_monai.core.errors import InputError
from mededit_monai.io.weight_files import find_weights, how_to_get
from mededit_monai.methods.edit_options import EditOptions
from mededit_monai.methods.editor import Editor
from mededit_monai.methods.effects import EffectsEditor
from mededit_monai.methods.record import CHOSEN, METHODS, network_named
from mededit_monai.networks.effects_network import EffectsNetwork
from mededit_monai.networks.weights import load_weights, weights_sha256

#: Settings that every editor takes beside the options.
COMMON = frozenset({"exact", "progress", "clip"})


def build_editor(
    method: str, scheduler: Scheduler, condition: str | None = None, region: str | None = None, **settings: Any
) -> Editor:
    """
    An editor by its method's name.

    Args:
        condition: what the pathology channels of a call are; needed by methods whose network takes every condition.
        region: ``auto``: the method finds its edit region. Others are drawn before an edit and come with the call.
        settings: options that the method takes; what is not given is the editor's own, the thesis's.

    Raises:
        InputError: unknown method or setting, one that the method does not take, a value that an option of its own
            cannot have, or no condition where one is needed.
        ValueError: a value that the editor refuses.
    """
    record = METHODS[method]
    own = {one.name: one for one in record.options}
    takes = record.of_editor | COMMON | set(own) | ({"pixel_mm"} if "draw_regions" in record.takes else set())
    for name, value in {"region": region, **settings}.items():
        record.refuse_unused(name, value)
        if name not in CHOSEN | takes:
            raise InputError(f"--inferer#{name}: {method} knows no such setting; it takes {', '.join(sorted(takes))}.")
        if name in own:
            own[name].check(value)
    taken = {name: value for name, value in settings.items() if name in takes}
    if record.tells_condition:
        if condition is None:
            raise InputError(f"--inferer#condition: is missing; {method} wants to know which channels it is given.")
        taken["condition"] = condition
    if record.finds_region:
        taken["auto_region"] = region == "auto"
    editor: Editor = record.editor(scheduler, **taken)
    return editor


def editor_of(
    options: EditOptions, scheduler: Scheduler, effects_network: torch.nn.Module | None = None
) -> Editor | EffectsEditor:
    """
    The editor that resolved options ask for.

    Args:
        effects_network: with its weights; needed with ``effects`` other than 0.

    Raises:
        InputError: as of :func:`build_editor`.
    """
    editor = build_editor(options.method, scheduler, options.condition, options.region, **options.editor_settings())
    if not options.effects:
        return editor
    return EffectsEditor(
        editor,
        effects_network,  # type: ignore[arg-type]
        strength=options.effects,
        global_atrophy=options.global_atrophy,
        draws=options.samples > 1,
        condition=options.condition,
        exact=options.exact,
    )


def method_network(
    method: str,
    condition: str,
    *,
    spatial_dims: int,
    channels: Sequence[int],
    attention_levels: Sequence[bool],
    num_res_blocks: int,
    num_head_channels: int,
    norm_num_groups: int,
    patch: int,
) -> torch.nn.Module:
    """
    The network of a method, without weights; the identity for a method that asks none.

    Args:
        spatial_dims and the others: of :class:`~mededit_monai.networks.MaskConditionedUNet`; what the record says of
            the network's size goes before them.
    """
    known = METHODS[method].network
    if known is None:
        return torch.nn.Identity()
    size: dict[str, Any] = {
        "spatial_dims": spatial_dims,
        "channels": channels,
        "attention_levels": attention_levels,
        "num_res_blocks": num_res_blocks,
        "num_head_channels": num_head_channels,
        "norm_num_groups": norm_num_groups,
        "patch": patch,
    }
    size |= known.size.get(spatial_dims, {})
    network: torch.nn.Module = known.build(in_channels=known.in_channels(condition), out_channels=known.outputs, **size)
    return network


def effects_network(spatial_dims: int, pixel_mm: float, **size: Any) -> torch.nn.Module:
    """
    The network of what moves, without weights.

    Args:
        spatial_dims: 2 or 3; pixel_mm: side of a pixel of the model's grid.
        size: of :class:`~mededit_monai.networks.effects_network.EffectsNetwork`; the record's where it is not given.
    """
    known = network_named("effects")
    own = {**known.size[spatial_dims], **size}
    return EffectsNetwork(spatial_dims, known.in_channels("mask"), pixel_mm=pixel_mm, **own)


def prediction_of(method: str) -> str:
    """What the method's network predicts, as MONAI's schedulers name it."""
    known = METHODS[method].network
    return "sample" if known is None else known.prediction


def weights_of(options: EditOptions, root: str | Path) -> Path | None:
    """
    The weight file of an edit: the one that was given, or the bundle's; None for a method that asks no network.

    Args:
        root: the bundle's folder.

    Raises:
        InputError: weights given to a method that has no network; what :func:`find_weights` refuses.
    """
    name = options.record.weights_file(options.condition, options.spatial_dims)
    if options.weights is not None:
        if name is None:
            raise InputError(f"--weights: {options.method} asks no network; leave the option out.")
        return Path(options.weights)
    return None if name is None else find_weights(root, name, options.weights_dir)


def effects_weights_of(options: EditOptions, root: str | Path) -> Path | None:
    """
    The weight file of the effects network: the one that was given, or the bundle's; None where nothing is displaced.

    Args:
        root: the bundle's folder.

    Raises:
        InputError: the bundle has none.
    """
    if not options.effects:
        return None
    if options.effects_weights is not None:
        return Path(options.effects_weights)
    name = network_named("effects").weights_file(options.condition, options.spatial_dims)
    place = find_weights(root, name, options.weights_dir)
    if not place.is_file():
        way = how_to_get(place) or "give its weights with --effects_weights, or --effects 0"
        raise InputError(f"{place}: not found, but --effects {options.effects:g} needs an effects network; {way}.")
    return place


def with_weights(network: torch.nn.Module, weights: Path | None) -> torch.nn.Module:
    """The network with its weights, if it has any. InputError: a file that is missing or of another network."""
    return network if weights is None else load_weights(network, weights)


def weights_digest(weights: Path | None) -> str | None:
    """SHA-256 of a weight file; None for none."""
    return None if weights is None else weights_sha256(weights)
