# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Which options of an edit go together, and which have a use in it."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from mededit_monai.cluster.where import require_cluster
from mededit_monai.core.errors import InputError
from mededit_monai.methods.record import CHOSEN

if TYPE_CHECKING:
    from mededit_monai.methods.edit_options import EditOptions


def check_together(options: EditOptions) -> None:
    """
    Refuse options that do not go together, as they were given.

    Raises:
        InputError: names one, and the way out.
    """
    method = options.record
    require_cluster(options.cluster)
    if options.start == 0:
        raise InputError(f"--start: got {options.start!r}, wanted a fraction of T above 0 and at most 1.")
    for name in sorted(CHOSEN):
        value = getattr(options, name)
        if value != type(options).__dataclass_fields__[name].default:
            method.refuse_unused(name, value)
    if method.network is not None and method.network.pathology == "none" and options.condition == "regions":
        raise InputError(
            f"--condition: got 'regions', but {method.name} is not told of regions; wanted mask or box, or another "
            f"--method."
        )
    if options.spatial_dims not in method.spatial_dims:
        wanted = " or ".join(map(str, method.spatial_dims))
        raise InputError(f"--spatial_dims: got {options.spatial_dims}, but {method.name} edits in {wanted}.")
    if options.mode == "paper" and options.jump != 1:
        raise InputError(f"--jump: got {options.jump}, but --mode paper goes up one level at a time; wanted 1.")
    if options.course == 1:
        raise InputError("--course: got 1, wanted at least 2 edits from no displacement to all of it, or 0 for none.")
    if options.course and options.samples > 1:
        raise InputError(
            f"--course: got {options.course} with --samples {options.samples}, but a course is of one sample; leave "
            f"one of them out."
        )


def check_resolved(options: EditOptions, disease: Any) -> None:
    """
    Refuse options that do not go together once everything that follows is filled in.

    Args:
        disease: its record.

    Raises:
        InputError: names one, and the way out.
    """
    if options.draw_regions and not disease.labels:
        raise InputError(f"--draw_regions: applies to tumours, not to {disease.name}; leave it out.")
    if options.draw_regions and options.condition != "mask":
        raise InputError(
            f"--draw_regions: applies to --condition mask, not to {options.condition}; leave it out or change that."
        )
    if options.start is not None and 0 < options.start < 1 and options.steps == 1:
        raise InputError("--start: below 1 needs at least 2 --steps, got 1.")


def refuse_useless(options: EditOptions, given: Collection[str]) -> None:
    """
    Refuse options that were given and have no use in an edit.

    Args:
        options: resolved.
        given: names of the options that somebody set.

    Raises:
        InputError: names the option and what it applies to.
    """
    again = (options.resample or 1) != 1
    device = str(options.device)
    moves, nothing = bool(options.effects), "applies to --effects other than 0"
    carried = options.carry is not None or options.many
    uses = {
        "dilation": (options.region_word == "dilate", "applies to --region dilate, which this edit does not have"),
        "eta": (options.sampler_takes("eta"), f"applies to --sampler ddim, not {options.sampler}"),
        "jump": (again or options.jump == 1, "applies to --resample of at least 2"),
        "resample_above": (again or options.resample_above == 0, "applies to --resample of at least 2"),
        "amp": (options.amp != "fp16" or device == "None" or "cpu" not in device, "applies to a GPU; a CPU takes bf16"),
        "slice_index": (options.spatial_dims == 2, "applies to --spatial_dims 2"),
        "global_atrophy": (moves, nothing),
        "course": (moves, nothing),
        "effects_weights": (moves, nothing),
        "weights_dir": (
            options.weights is None or (moves and options.effects_weights is None),
            "applies to weights that are not given by name",
        ),
        "carry": (moves, nothing),
        "lesion_label": (moves and carried, "applies to --carry"),
        "keep_going": (options.many, "applies to --datalist"),
        "cluster": (options.many, "applies to --datalist"),
        "num_workers": (options.cluster is None, "applies to runs without --cluster"),
    }
    for name, (used, reason) in uses.items():
        if name in given and not used:
            value = getattr(options, name)
            raise InputError(f"--{name}: got {value!r}, but it {reason}; leave it out or change that.")
