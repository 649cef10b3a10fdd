# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""The editor by deformation and paint: the scan itself is displaced, and the lesion painted into it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mededit_monai.core.lazy import Later
from mededit_monai.core.options import Option
from mededit_monai.methods.record import METHODS, SAMPLING, Method, Network


def _option(name: str, default: float, most: float, help: str, least: float = 0) -> Option:
    group = "With --family effects and paint"
    return Option(name, help, type(default), default, least=least, most=most, group=group, recorded=True)


#: Of the trainings, which are laid out in configs/effects.yaml and configs/paint.yaml.
APPEARANCE = (
    _option("blur", 0.3, 1, "Share of the samples that are blurred or of low resolution."),
    _option("noise", 0.5, 1, "Share of the samples that get Rician noise."),
)

#: What moves: a velocity field from the scan, in front of any method (``--effects``).
EFFECTS = Network(
    name="effects",
    weights="effects.pt",
    brain=True,
    pathology="fused",
    state="scan",
    prediction="sample",
    outputs=5,
    size={
        2: {"channels": (48, 96, 128), "attention_levels": (False, False, False), "patch": 4, "wall_channels": 32},
        3: {"channels": (48, 64, 96), "attention_levels": (False, False, False), "patch": 4, "wall_channels": 16},
    },
    batch=Later("mededit_monai.training.effects_batch:EffectsPrepareBatch"),
    loss=Later("mededit_monai.training.effects_loss:EffectsLoss"),
    noising=Later("mededit_monai.training.effects_batch:AskNetwork"),
    recipe=2,  # nodes, not means, on one canvas
    training_options={
        "augmentation": APPEARANCE,
        "batch": (_option("near_weight", 6.0, 1e6, "Added weight of what lies within 20 mm of the lesion."),),
        "loss": (
            _option("strength_weight", 0.01, 1e6, "Weight of how far people with the same lesion differ."),
            _option("slope_weight", 30.0, 1e6, "Weight of the slopes' error, by which volumes change; mm²."),
            _option(
                "ventricle_weight",
                5.0,
                1e6,
                "Weight of the error of the ventricles' change, as mean motion of their walls.",
            ),
        ),
    },
)

#: What is replaced: the lesion and its rim, as a change of the displaced scan.
PAINT = Network(
    name="paint",
    weights="paint.pt",
    brain=True,
    pathology="fused",
    scans=("displaced scan",),
    state="y_t",
    prediction="sample",
    build=Later("mededit_monai.networks.paint_network:PaintNetwork"),
    size={
        2: {"attention_levels": (False, False, False, False)},
        3: {
            "channels": (32, 64, 96),
            "attention_levels": (False, False, False),
            "patch": 4,
            "cell_channels": 64,
            "fine_channels": 16,
        },
    },
    batch=Later("mededit_monai.training.paint_batch:PaintPrepareBatch"),
    preview={"steps": 5},
    training_options={
        "augmentation": APPEARANCE,
        "batch": (
            _option("top_share", 0.1, 1, "Share of the samples at t = T - 1, where every sampler starts."),
            _option("repeats", 2, 64, "How often a batch uses each case; more where a GPU waits for cases.", least=1),
        ),
    },
)

#: Strength of the paint, by the painter's dimensions and what it is told. Networks of this size draw cavities, cores
#: and rims too faint: on validation cases contrast is nearest to the truth by these, and painted lesions are hardly
#: easier to tell from true ones.
STRENGTH = {2: {"mask": 1.1, "box": 1.1, "regions": 1.25}, 3: {"mask": 1.2, "box": 1.2, "regions": 1.2}}


def _defaults(disease: Any, condition: str, spatial_dims: int) -> Mapping[str, Any]:
    guesses = disease is not None and disease.labels and condition == "mask" and spatial_dims == 3
    strength = STRENGTH[spatial_dims]["regions" if guesses else condition]
    return {"steps": 10, "sampler": "dpm2m", "effects": 1.0, "guidance": strength, "draw_regions": guesses}


METHODS.add(
    "morph",
    Method(
        name="morph",
        summary="displaces the scan as the lesion does and paints the lesion into it",
        editor=Later("mededit_monai.methods.paint_editor:PaintEditor"),
        network=PAINT,
        takes=SAMPLING | {"guidance", "draw_regions"},
        defaults=_defaults,
        region="brain",
        tells_condition=True,
        volume_defaults=True,
        fine=True,
    ),
)
