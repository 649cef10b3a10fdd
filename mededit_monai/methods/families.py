# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Families of networks: which file holds their weights, and what they see; light to import."""

from __future__ import annotations

from dataclasses import dataclass

from mededit_monai.core.errors import InputError
from mededit_monai.methods.conditions import CONDITION_WEIGHTS, condition_width, fused_width


@dataclass(frozen=True)
class Family:
    """
    Networks that see the same things beside x_t.

    Args:
        name: of the family.
        weights: file under a bundle's ``models/``; None: one file a condition.
        brain: whether the brain mask is a channel.
        pathology: how the pathology is: ``own`` channels of one condition, ``fused`` channels that take every
            condition in turn, or ``none``.
        scans: further image channels: the visible scan, the hole, the whole prior scan.
        prediction: what the network predicts: ``v_prediction``, ``epsilon`` or ``sample``, x0 itself.
        outputs: channels of the prediction.
    """

    name: str
    weights: str | None
    brain: bool
    pathology: str
    scans: int
    prediction: str = "v_prediction"
    outputs: int = 1

    def in_channels(self, condition: str) -> int:
        """Input channels of the network: x_t, brain mask, pathology, scans."""
        width = {"own": condition_width(condition), "fused": fused_width(), "none": 0}[self.pathology]
        return 1 + int(self.brain) + width + self.scans

    def weights_file(self, condition: str) -> str:
        """Name of the weight file under ``models/``."""
        condition_width(condition)  # refuses unknown ones
        return self.weights or CONDITION_WEIGHTS[condition]


#: composed: the thesis's network, [x_t, b, p]. palette: [x_t, scan with noise in the hole].
#: prior: [x_t, b, p, prior scan], predicts the change and where it is.
FAMILIES = {
    "composed": Family("composed", None, True, "own", 0),
    "palette": Family("palette", "palette.pt", False, "none", 1),
    "palette_original": Family("palette_original", "palette_original.pt", False, "none", 1),
    "prior": Family("prior", "model_prior.pt", True, "fused", 1, prediction="sample", outputs=2),
}

#: Method on the command line → family of its network.
METHOD_FAMILY = {
    "mededit": "composed",
    "naive_repaint": "composed",
    "sdedit": "composed",
    "palette": "palette",
    "palette_original": "palette_original",
    "prior": "prior",
}


#: How methods denoise by default: laptop settings of those that compose, and what differs from them.
COMPOSED_DEFAULTS = {"steps": 50, "sampler": "ddpm", "resample": 2}
METHOD_DEFAULTS: dict[str, dict[str, int | str]] = {"prior": {"steps": 2, "sampler": "ddim", "resample": 1}}


def method_default(method: str, option: str) -> int | str:
    """What ``steps``, ``sampler`` or ``resample`` is for a method where it is not given."""
    return METHOD_DEFAULTS.get(method, {}).get(option, COMPOSED_DEFAULTS[option])


def method_family(method: str) -> Family:
    """
    The family of a method's network.

    Raises:
        InputError: unknown method.
    """
    if method not in METHOD_FAMILY:
        raise InputError(f"--method: got {method!r}, wanted one of {', '.join(METHOD_FAMILY)}.")
    return FAMILIES[METHOD_FAMILY[method]]


def weights_name(method: str, condition: str) -> str:
    """File under a bundle's ``models/`` with the weights of a method and condition."""
    return method_family(method).weights_file(condition)
