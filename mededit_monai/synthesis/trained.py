# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Whether weights are used as they were trained: most of it their shapes do not tell."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mededit_monai.core.errors import InputError
from mededit_monai.training.folder import trained_settings

#: Settings of a training that a synthesis must share.
SHARED = ("modalities", "condition", "side", "depth", "noise_schedule", "conditioning")
SHARED += ("channels", "attention_levels", "num_head_channels", "norm_num_groups", "patch", "linear_guess")
SHARED += ("autoencoder_channels", "latent_channels")

#: SHA-256 of the autoencoder whose latents are diffused, in the settings of a training.
AUTOENCODER = "autoencoder_sha256"


def require_as_trained(weights: Path, given: Mapping[str, Any]) -> None:
    """
    Refuse settings that differ from those of the training, which the JSON file of the same name beside a weight file
    holds, or ``training.json``; without them, all will do. So will what an older one did not write down.

    Args:
        given: of the synthesis, by the name of their option; behind a section's name as in the training.

    Raises:
        InputError: names the first one that differs, or a damaged file.
    """
    place, trained = trained_settings(weights)
    if place is None:
        return
    for name, value in given.items():
        if name == AUTOENCODER:
            _require_autoencoder(weights, value, trained.get(name))
            continue
        value = list(value) if isinstance(value, (list, tuple)) else value
        wanted = trained.get(name.rpartition("#")[2], value)
        if wanted != value:
            word = json.dumps(wanted) if isinstance(wanted, list) else wanted
            raise InputError(
                f"--{name}: got {value!r}, but {weights} was trained with {wanted!r} ({place}); give --{name} {word}, "
                f"or the --config of that training, or --weights of another."
            )


def _require_autoencoder(weights: Path, given: str | None, trained: str | None) -> None:
    if given == trained:
        return
    if trained is None:
        raise InputError(f"--autoencoder: {weights} was trained to denoise voxels, not latents; leave it out.")
    if given is None:
        raise InputError(f"--autoencoder: is missing, but {weights} was trained to denoise latents; give its weights.")
    raise InputError(
        f"--autoencoder: is another than {weights} was trained with (SHA-256 {given[:12]}…, wanted {trained[:12]}…); "
        f"give that one."
    )
