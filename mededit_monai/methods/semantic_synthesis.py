# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Med-DDPM (arXiv 2305.18453): whole volumes from their segmentation; no scan is edited."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from mededit_monai.core.lazy import Later
from mededit_monai.core.options import Option
from mededit_monai.methods.record import Network
from mededit_monai.sampling.levels import NOISE_SCHEDULES
from mededit_monai.space.conditions import CONDITIONINGS

_network = partial(Option, group="Diffusion and network", recorded=True)

#: Of the training, which is laid out in bundles/semantic_synthesis/configs/train.yaml.
MODALITIES_OPTION = Option(
    "modalities",
    "What is synthesized, one channel each: of t1, t1ce, t2, flair.",
    tuple,
    ("t1",),
    group="Data",
    recorded=True,
)
NETWORK_OPTIONS = (
    _network(
        "noise_schedule", "How noise grows with t; cosine as published.", default="cosine", choices=NOISE_SCHEDULES
    ),
    _network(
        "conditioning",
        "How the network is conditioned on the mask; concat as published.",
        default="concat",
        choices=CONDITIONINGS,
    ),
    _network(
        "linear_guess",
        "Whether the U-Net is shown a linear guess of the clean volume in place of the noisy one, and its answer put "
        "right by the latter; wants --prediction_type sample. Not as published.",
        bool,
        False,
    ),
    _network(
        "autoencoder",
        "Weight file of an autoencoder, for diffusion in its latent space; default: of voxels.",
        file=True,
        recorded=False,  # its bytes are, not its name
    ),
)
AUTOENCODER_OPTIONS = (
    _network("autoencoder_channels", "Of the autoencoder, by level.", tuple, (8, 16, 32)),
    _network("latent_channels", "Of its latents.", int, 4, least=1, most=2**16),
)

#: Noisy volumes of all modalities, and behind them what the mask says, a channel each: the brain, and the tumour
#: (``mask``) or its parts (``regions``).
MED_DDPM = Network(
    name="med_ddpm",
    weights=None,
    brain=True,
    pathology="own",
    spatial_dims=(3,),
    prediction="epsilon",
    batch=Later("mededit_monai.training.prepare_batch:MaskConditionedPrepareBatch"),
    training_options={"augmentation": (MODALITIES_OPTION,), "network": (*NETWORK_OPTIONS, *AUTOENCODER_OPTIONS)},
)

#: The autoencoder in whose latent space Med-DDPM can diffuse: volumes in, volumes out.
AUTOENCODER = Network(
    name="autoencoder",
    weights=None,
    brain=False,
    pathology="none",
    spatial_dims=(3,),
    state="volume",
    prediction="sample",
    batch=Later("mededit_monai.training.autoencoding:AutoencoderPrepareBatch"),
    loss=Later("mededit_monai.training.autoencoding:AutoencoderLoss"),
    noising=Later("mededit_monai.training.autoencoding:AskAutoencoder"),
    training_options={
        "augmentation": (MODALITIES_OPTION,),
        "network": NETWORK_OPTIONS,
        "batch": AUTOENCODER_OPTIONS,
        "loss": (
            Option(
                "kl_weight",
                "Weight of the latents' divergence from a normal distribution.",
                float,
                0.001,
                least=0,
                most=1e6,
                group="Optimisation",
                recorded=True,
            ),
        ),
    },
)


def noisy_names(modalities: Sequence[str], latents: int = 0) -> tuple[str, ...]:
    """Names of Med-DDPM's noisy channels, of which it has as many outputs: its modalities, or so many latents."""
    return tuple(f"latent {k}" for k in range(latents)) if latents else tuple(modalities)
