# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""The options of an edit: what each may be, and which go together. An option that is given is used or refused."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from mededit_monai.core.devices import require_device
from mededit_monai.core.errors import InputError, reporting_bad_input, require_choice, require_number, require_whole
from mededit_monai.methods.build import METHODS
from mededit_monai.methods.conditions import CONDITIONS
from mededit_monai.methods.families import method_family
from mededit_monai.methods.inpainting import MODES, SAMPLERS
from mededit_monai.sampling.levels import SPACINGS
from mededit_monai.space.restore import RESTORE_MODES
from mededit_monai.training.options import AMP_TYPES

#: Region word (see ``AxialSlicesd``) of the methods that have a region of their own; the others take ``--region``.
METHOD_REGIONS = {
    "naive_repaint": "pathology",
    "sdedit": "image",
    "palette": "image",
    "palette_original": "pathology",
}

#: Methods that can find their edit region themselves.
AUTO_REGION = ("mededit", "prior")

#: What a method cannot do otherwise: option → the values it takes (None: not given).
FIXED_OPTIONS: dict[str, dict[str, tuple]] = {
    "palette": {"start": (None, 1), "guidance": (1,), "mode": ("corrected",)},
    "palette_original": {"start": (None, 1), "guidance": (1,), "mode": ("corrected",)},
    "prior": {"start": (None, 1), "mode": ("corrected",), "resample": (1,), "jump": (1,), "resample_above": (0,)},
}

#: Whole numbers: least and most. The model's image has 128 pixels a side, so a kernel of 255 covers it from anywhere.
WHOLE = {
    "steps": (1, 1000),
    "resample": (1, 1000),
    "jump": (1, 1000),
    "samples": (1, 1000),
    "dilation": (0, 255),
    "seed": (0, 2**63 - 1),
    "batch_size": (1, 4096),
    "num_workers": (0, 256),
}

#: Numbers: least and most.
NUMBERS = {
    "eta": (0, 1),
    "window_mm": (16, 1000),
    "percentile": (1, 100),
    "resample_above": (0, 1),
    "guidance": (-100, 100),
}

#: Yes or no.
SWITCHES = ("exact", "strict", "keep_going", "overwrite", "progress")


def check_edit_options(options: Mapping[str, Any], given: Collection[str] = ()) -> None:
    """
    Check an edit's options before anything is built, so that a wrong one is one sentence and not a traceback.

    Args:
        options: the bundle's ``options`` section and what else is known of the run.
        given: names of the options that were set by the user, which must not be left unused.
    """
    with reporting_bad_input():
        for name, known in (
            ("method", tuple(METHODS)),
            ("condition", CONDITIONS),
            ("sampler", SAMPLERS),
            ("spacing", SPACINGS),
            ("restore", RESTORE_MODES),
            ("mode", MODES),
            ("amp", (None, *AMP_TYPES)),
        ):
            require_choice(name, options.get(name), known)
        for name, (least, most) in WHOLE.items():
            require_whole(name, options.get(name), least, optional=True, most=most)
        for name, (low, high) in NUMBERS.items():
            require_number(name, options[name], low, high)
        for name in SWITCHES:
            require_choice(name, options.get(name, False), (True, False))
        require_device(options.get("device"))
        start = options["start"]
        if start is not None:
            require_number("start", start, 0, 1)
            if start == 0:
                raise InputError(f"--start: got {start!r}, wanted a fraction of T above 0 and at most 1.")
            if start < 1 and options["steps"] == 1:
                raise InputError("--start: below 1 needs at least 2 --steps, got 1.")
        index = options["slice_index"]
        if index not in ("auto", "all") and (not isinstance(index, int) or isinstance(index, bool)):
            raise InputError(f"--slice_index: got {index!r}, wanted a whole number (RAS axial), 'auto' or 'all'.")
        _check_method(options["method"], options)
        if options["region"] == "auto" and options["method"] not in AUTO_REGION:
            raise InputError(
                f"--region: 'auto' is for --method {' and '.join(AUTO_REGION)}, got {options['method']}; wanted "
                f"dilate, brain, pathology or a mask FILE."
            )
        if options["mode"] == "paper" and options["jump"] != 1:
            raise InputError(f"--jump: got {options['jump']}, but --mode paper goes up one level at a time; wanted 1.")
        for name, (used, reason) in _uses(options).items():
            if name in given and not used:
                raise InputError(f"--{name}: got {options.get(name)!r}, but it {reason}; leave it out or change that.")


def _uses(options: Mapping[str, Any]) -> dict[str, tuple[bool, str]]:
    """Options that some runs have no use for → whether this one has, and why it would not."""
    again = options["resample"] != 1
    device = str(options.get("device"))
    return {
        "dilation": (
            region_kind(options["method"], options["region"]) == "dilate",
            "applies to --region dilate, which this edit does not have",
        ),
        "eta": (options["sampler"] == "ddim", f"applies to --sampler ddim, not {options['sampler']}"),
        "jump": (again or options["jump"] == 1, "applies to --resample of at least 2"),
        "resample_above": (again or options["resample_above"] == 0, "applies to --resample of at least 2"),
        "amp": (options.get("amp") is None or device == "None" or "cpu" not in device, "applies to a GPU"),
    }


def _check_method(method: str, options: Mapping[str, Any]) -> None:
    """Refuse options that a method has no use for, where leaving them unused would be a surprise."""
    if options["region"] is not None and method in METHOD_REGIONS:
        wanted = ", ".join(name for name in METHODS if name not in METHOD_REGIONS)
        raise InputError(f"--region: applies to --method {wanted}; {method} has its own, leave the option out.")
    if method_family(method).pathology == "none" and options["condition"] == "regions":
        raise InputError(
            f"--condition: got 'regions', but {method} is not told of regions; wanted mask or box, or another --method."
        )
    for name, known in FIXED_OPTIONS.get(method, {}).items():
        if options[name] not in known:
            raise InputError(
                f"--{name}: got {options[name]!r}, which {method} cannot do; leave the option out or choose another "
                f"--method."
            )


def region_kind(method: str, region: str | None) -> str:
    """The region word for ``AxialSlicesd``: a method's own, or what ``--region`` asks for."""
    if method in METHOD_REGIONS:
        return METHOD_REGIONS[method]
    if region == "auto" or (method == "prior" and region is None):
        return "brain"  # the network finds the region; this only limits it
    return region if region in ("brain", "pathology") else "dilate" if region in (None, "dilate") else "file"
