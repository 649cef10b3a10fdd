# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""The options of a training, declared once; light to import."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from mededit_monai.core.errors import InputError
from mededit_monai.core.options import Option, option, options_of, refuse_unknown
from mededit_monai.core.paths import user_path
from mededit_monai.methods.edit_options import AMP_NAMES
from mededit_monai.methods.record import Network, network_named, networks
from mededit_monai.space.conditions import CONDITIONS

CACHE_MODES = ("auto", "memory", "disk", "none")
LOSS_KINDS = ("mse", "l1", "huber")
LR_SCHEDULES = ("cosine", "constant")
PREDICTION_TYPES = ("epsilon", "v_prediction", "sample")

#: Largest learning rate: with any above, no network has ever learned anything.
LARGEST_RATE = 10

#: What is read: nothing may be written over it.
INPUTS = ("datalist", "dataset_dir", "init_weights")

_run = partial(option, group="The run itself")
_data = partial(option, group="Data")
_share = partial(
    option, group="Augmentation: share of the samples that get it; 0 switches it off", least=0, most=1, recorded=True
)
_network = partial(option, group="Diffusion and network", recorded=True)
_learn = partial(option, group="Optimisation", recorded=True)
_show = partial(option, group="Validation", most=10**7)


@dataclass(frozen=True)
class TrainingOptions:
    """
    Everything that can be said about a training. What is recorded decides the weights.

    ``own`` are options of the network's own; see :class:`~mededit_monai.methods.record.Network`.
    """

    output_dir: str = _run("out/training", "Weights, checkpoint, curves, table, previews.", file=True, short="-o")
    seed: int = _run(
        0, "Cohort, initial weights, batches, augmentation, noise.", least=0, most=2**63 - 1, recorded=True
    )
    resume: bool = _run(True, "Continue from the checkpoint in output_dir; false starts anew.")
    progress: bool = _run(True, "Progress bar, in a terminal only.")
    device: Any = _run(None, "cpu, cuda, cuda:1, …; default: a GPU if there is one.", yaml="")
    num_workers: int = _run(0, "Processes that load cases.", least=0, most=256)
    amp: str | None = _run(
        None, "Half precision: either on a GPU, bf16 on a CPU with AVX-512.", choices=(None, *AMP_NAMES), recorded=True
    )
    channels_last: bool = _run(False, "Faster on most GPUs, slower on a CPU.")
    compile: bool = _run(False, "Faster on most GPUs, after minutes.")
    checkpointing: bool = _run(False, "Keep no activations inside blocks, but work them out again: less memory.")

    datalist: Any = _data(
        None, "JSON with the lists training and validation; goes before dataset_dir.", file=True, recorded=True
    )
    dataset_dir: str | None = _data(None, "Folder with a datalist.json of that form.", file=True, recorded=True)
    cohort_size: int = _data(1600, "Simulated training cases, if neither is given.", least=1, most=10**7, recorded=True)
    validation_size: int = _data(64, "Simulated validation cases, if neither is given.", least=1, most=10**7)
    epoch_cases: int | None = _data(
        None,
        "Cases of an epoch, drawn without repetition until all had their turn; default: all.",
        least=1,
        most=10**7,
        recorded=True,
    )
    val_cases: int | None = _data(None, "Validation cases, the first of the list; default: all.", least=1, most=10**7)
    cache: str = _data(
        "auto", "Where prepared cases are kept; auto: memory if they fit, else disk.", choices=CACHE_MODES
    )
    cache_dir: str | None = _data(
        None,
        "Folder of disk; default: prepared in output_dir.",
        file=True,
        yaml="\"$os.path.join(@output_folder, 'prepared')\"",
    )

    flip: float = _share(0.5, "Left to right.")
    warp: float = _share(0.0, "Rotation, shear, shift and scale.")
    contrast: float = _share(0.0, "A curve of the intensities.")
    bias: float = _share(0.0, "A field as of a coil.")
    lesion_free_share: float = _share(0.15, "Shown without lesion and with p = 0.")

    condition: str = _network("mask", "What the network is given of the lesion.", choices=CONDITIONS)
    family: str = _network("mededit", "Which network, by its method.", choices=lambda: tuple(networks()))
    prediction_type: str | None = _network(
        None,
        "What the network predicts; default: what its method wants.",
        choices=PREDICTION_TYPES,
        yaml='"$network_named(@family).prediction"',
    )
    spatial_dims: int = _network(2, "2: slices, 3: volumes.", choices=(2, 3))
    channels: tuple[int, ...] = _network((32, 64, 96, 128), "Of the U-Net, by level.")
    attention_levels: tuple[bool, ...] = _network((False, False, False, True), "Which levels attend to themselves.")
    num_head_channels: int = _network(32, "Of an attention head.", least=1, most=2**16)
    norm_num_groups: int = _network(16, "Of each group normalisation.", least=1, most=2**16)
    patch: int = _network(2, "Side of the space-to-depth cell; 1: none.", least=1, most=64)

    max_epochs: int = _learn(25, "Epochs.", least=1, most=10**7, recorded=False)
    batch_size: int = _learn(
        16, "Cases per batch and process; what does not fill a batch is left out.", least=1, most=65536
    )
    accumulation_steps: int = _learn(1, "Batches gathered for one optimizer step.", least=1, most=65536)
    learning_rate: float = _learn(0.0004, "Of Adam.")
    lr_schedule: str = _learn("cosine", "cosine: to 0 over all epochs.", choices=LR_SCHEDULES)
    warmup_iterations: int = _learn(100, "Linear rise of the learning rate.", least=0, most=10**9)
    loss_kind: str = _learn("mse", "Of the difference.", choices=LOSS_KINDS)
    min_snr_gamma: float | None = _learn(None, "Min-SNR-γ weighting of the noise levels.", least=1e-6, most=1e6)
    lesion_weight: float = _learn(0.0, "Added weight of pixels inside the lesion.", least=0, most=1e6)
    ema_decay: float = _learn(0.998, "Share of the old averaged weights kept at each iteration; 0: no average.")
    clip_norm: float | None = _learn(None, "Largest norm of the gradient.", least=0, most=1e6)
    init_weights: str | None = _learn(
        None, "Weight file to start from; added input channels and outputs start at zero.", file=True
    )

    val_interval: int = _show(1, "Epochs between validations.", least=1)
    preview_interval: int = _show(1, "Epochs between quick edits; 0: none.", least=0)
    keep_interval: int = _show(0, "Epochs between weights that are kept, model_epoch_*.pt; 0: none.", least=0)

    own: Mapping[str, Any] = field(default_factory=dict)

    @property
    def network(self) -> Network:
        """The record of the network."""
        return network_named(self.family)

    @property
    def inputs(self) -> dict[str, Path]:
        """Option → file or folder that is read."""
        given = {name: getattr(self, name) for name in INPUTS}
        given |= {one.name: self.own[one.name] for one in own_training_options(self.network).values() if one.file}
        return {name: user_path(one) for name, one in given.items() if isinstance(one, (str, os.PathLike))}

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> TrainingOptions:
        """
        Options from values by name, those of the network's own among them; checked.

        Raises:
            InputError: no such option, a value that it cannot have, or options that do not go together.
        """
        known, more = options_of(cls), own_training_options()
        refuse_unknown(tuple(values), (*known, *more), "a training")
        for name, value in values.items():
            _check(known.get(name) or more[name], value)
        network = network_named(values.get("family", cls.family))
        own = own_training_options(network)
        for name in values:
            if name not in known and name not in own:
                takers = " and ".join(one.name for one in networks().values() if name in own_training_options(one))
                raise InputError(f"--{name}: applies to {takers}, but --family is {network.name}; leave it out.")
        found = cls(
            **{"prediction_type": network.prediction, **{name: values[name] for name in values if name in known}},
            own={name: values.get(name, one.default) for name, one in own.items()},
        )
        if network.pathology == "none" and found.condition == "regions":
            raise InputError(
                f"--condition: got 'regions', but {network.name} is not told of regions; wanted mask or box."
            )
        return found

    def of_part(self, part: str) -> dict[str, Any]:
        """The network's own options that a part of the training takes: ``batch``, ``loss`` or ``augmentation``."""
        return {one.name: self.own[one.name] for one in self.network.training_options.get(part, ())}

    def recorded(self) -> dict[str, Any]:
        """What decides the weights: written down, and the same in every run that goes on from a checkpoint."""
        found = {one.name: getattr(self, one.name) for one in options_of(type(self)).values() if one.recorded}
        if self.datalist is not None or self.dataset_dir is not None:
            found["cohort_size"] = None
        if self.network.recipe > 1:
            found["recipe"] = self.network.recipe
        own = own_training_options(self.network)
        return found | {name: value for name, value in self.own.items() if own[name].recorded}


def own_training_options(network: Network | None = None) -> dict[str, Option]:
    """Options of a network's own, or of all networks', by name."""
    chosen = networks().values() if network is None else [network]
    return {one.name: one for each in chosen for part in each.training_options.values() for one in part}


def _check(one: Option, value: Any) -> None:
    one.check(value)
    if one.file:
        _require_path(one, value)
    if one.name == "learning_rate":
        require_rate(value)
    if one.name == "ema_decay":
        require_ema_decay(value)


def require_rate(value: Any) -> None:
    """Raises InputError for what is no learning rate."""
    if not _is_number(value) or not 0 < value <= LARGEST_RATE:
        raise InputError(f"--learning_rate: got {value!r}, wanted a positive number of at most {LARGEST_RATE}.")


def require_ema_decay(value: Any) -> None:
    """Raises InputError for what is no decay of an average."""
    if not _is_number(value) or not 0 <= value < 1:
        raise InputError(f"--ema_decay: got {value!r}, wanted at least 0 (no average) and below 1.")


def _is_number(value: Any) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    return isinstance(value, int) and not isinstance(value, bool)


def _require_path(one: Option, value: Any) -> None:
    """Paths are text; a list of cases may be given as such."""
    if isinstance(value, (str, os.PathLike)) and str(value).strip() and "\0" not in str(value):
        return
    if (value is None and one.default is None) or (one.name == "datalist" and isinstance(value, (list, dict))):
        return
    raise InputError(f"--{one.name}: got {value!r}, wanted the path of a file or folder; give it as text.")


def learning_rate_factor(schedule: str, warmup: int, total: int) -> Callable[[int], float]:
    """
    Factor on the learning rate at an iteration: a linear rise over ``warmup``, times 1 (``constant``) or a half cosine
    from 1 to 0 over ``total`` iterations (``cosine``).

    MONAI's ``WarmupCosineSchedule`` begins at 0, which wastes the first step, and its cosine behind the warm-up.
    """

    def factor(iteration: int) -> float:
        rise = min(1.0, (iteration + 1) / max(1, warmup))
        if schedule == "constant":
            return rise
        return rise * 0.5 * (1 + math.cos(math.pi * min(1.0, iteration / max(1, total))))

    return factor
