# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Families of networks: channels and files, by hand."""

from __future__ import annotations

import pytest

from mededit_monai.core.errors import InputError
from mededit_monai.methods.families import METHOD_FAMILY, method_default, method_family, weights_name


@pytest.mark.parametrize(
    ("method", "condition", "channels", "file"),
    [
        ("mededit", "mask", 3, "model.pt"),  # x_t, b, p
        ("naive_repaint", "box", 3, "model_box.pt"),
        ("sdedit", "regions", 5, "model_regions.pt"),  # x_t, b, core, edema, rim
        ("palette", "mask", 2, "palette.pt"),  # x_t, scan with noise in the hole
        ("palette_original", "box", 2, "palette_original.pt"),
        ("prior", "regions", 8, "model_prior.pt"),  # x_t, b, 5 condition channels, prior
    ],
)
def test_channels_and_files(method, condition, channels, file):
    assert method_family(method).in_channels(condition) == channels
    assert weights_name(method, condition) == file


def test_an_unknown_method():
    with pytest.raises(InputError, match=f"--method: got 'mededits', wanted one of {', '.join(METHOD_FAMILY)}"):
        method_family("mededits")


@pytest.mark.parametrize(
    "option, of_mededit, of_prior", [("steps", 50, 2), ("sampler", "ddpm", "ddim"), ("resample", 2, 1)]
)
def test_defaults_of_methods(option, of_mededit, of_prior):
    assert (method_default("mededit", option), method_default("prior", option)) == (of_mededit, of_prior)
