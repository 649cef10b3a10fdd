# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""The options of a synthesis, declared once for the command line, YAML and Python; light to import."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from mededit_monai.bids.names import LAYOUT_HELP, LAYOUTS
from mededit_monai.cluster.where import cluster_option, require_cluster
from mededit_monai.core.errors import InputError
from mededit_monai.core.options import OneOrMany, option, options_of, refuse_unknown
from mededit_monai.sampling.levels import NOISE_SCHEDULES, SPACINGS
from mededit_monai.sampling.sampler import SAMPLERS
from mededit_monai.space.conditions import CONDITIONINGS

_what = partial(option, group="What to synthesize")
_sample = partial(option, group="Sampling", recorded=True)
_trained = partial(option, group="How the weights were trained", recorded=True)
_run = partial(option, group="The run itself")


@dataclass(frozen=True)
class SynthesisOptions(OneOrMany):
    """Everything that can be said about a synthesis. What is recorded decides the result."""

    mask: str | None = _what(
        None, "Labels of the volume: 1 core, 2 edema, 3 enhancing, 4 the brain around them; 3-D NIfTI.", file=True
    )
    brain: str | None = _what(
        None, "Brain mask or skull-stripped scan on the mask's grid, if the mask has no brain.", file=True
    )
    brats2021: bool = _what(False, "Label 4 of the mask is the enhancing tumour, as in BraTS to 2021.", recorded=True)
    datalist: str | None = _what(None, "JSON list of many cases ('label', perhaps 'brain'), for --mask.", file=True)
    dataset_dir: str | None = _what(None, "Folder with a datalist.json, instead of --datalist.", file=True, verb=False)
    split: str | None = _what(None, "List of the datalist, such as testing; default: all.")
    output_dir: str = _what(
        "out/synthesis", "Folder for the results, in which every case gets its own.", file=True, short="-o"
    )
    weights: str | None = _what(None, "Weight file to use instead of the bundle's.", file=True)

    samples: int = _sample(1, "Volumes of every mask, each with its own noise.", least=1, most=1000)
    seed: int = _sample(
        0, "Seed of the noise; a case's own follows from it and the case's name.", least=0, most=2**63 - 1
    )
    steps: int = _sample(10, "Number of noise levels.", least=1, most=1000)
    sampler: str = _sample("dpm2m", "How to step from one noise level to the next.", choices=SAMPLERS.names)
    spacing: str = _sample("logsnr", "Noise levels evenly spaced in t or in log-SNR.", choices=SPACINGS)

    noise_schedule: str = _trained("cosine", "How noise grows with t.", choices=NOISE_SCHEDULES)
    conditioning: str = _trained("concat", "How the network is conditioned on the mask.", choices=CONDITIONINGS)

    autoencoder: str | None = _trained(
        None, "Weight file of its autoencoder, if it diffuses latents.", file=True, recorded=False
    )

    layout: str = _run("folders", LAYOUT_HELP, choices=LAYOUTS)
    keep_going: bool = _run(True, "Go on with a list's other cases if one fails; failed.json lists them.")
    overwrite: bool = _run(False, "Replace a result that was changed by hand.")
    cluster: str | None = cluster_option("The run itself")
    device: Any = _run(None, "cpu, cuda, cuda:1, …; by default a GPU if there is one.", yaml="")
    amp: str | None = _run(
        None,
        "Half precision: either on a GPU, bf16 on a CPU with AVX-512.",
        choices=(None, "fp16", "bf16"),
        recorded=True,
    )
    progress: bool = _run(True, "Show a progress bar.")

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> SynthesisOptions:
        """
        Options from values by name, checked one by one.

        Raises:
            InputError: no such option, or a value that it cannot have.
        """
        known = options_of(cls)
        refuse_unknown(tuple(values), tuple(known), "a synthesis")
        for name, value in values.items():
            known[name].check(value)
        require_cluster(values.get("cluster"))
        if values.get("cluster") is not None and values.get("mask") is not None:
            raise InputError(f"--cluster: got '{values['cluster']}' with a single mask; it goes with --datalist.")
        if values.get("keep_going") is False and values.get("mask") is not None:
            raise InputError("--keep_going: got False with a single mask; it goes with --datalist, leave it out.")
        return cls(**values)

    def recorded(self) -> dict[str, Any]:
        """What decides the result."""
        return {one.name: getattr(self, one.name) for one in options_of(type(self)).values() if one.recorded}
