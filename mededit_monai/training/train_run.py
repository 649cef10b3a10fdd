# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""What a training's config calls: its options, checked, the parts that differ between networks, and the run."""

from __future__ import annotations

import logging
import warnings
from dataclasses import dataclass, replace
from typing import Any

import torch
from monai.bundle import ConfigParser
from monai.engines.utils import PrepareBatch
from monai.networks.schedulers import Scheduler

from mededit_monai.core.devices import require_device
from mededit_monai.core.errors import InputError, reporting_bad_input
from mededit_monai.core.guard import check_run, said_by_files, unused_options
from mededit_monai.core.options import options_of
from mededit_monai.core.paths import user_path
from mededit_monai.core.plain_values import shown
from mededit_monai.core.running import run_engine
from mededit_monai.io.outputs import OutputFolder
from mededit_monai.methods.record import Network, network_named
from mededit_monai.training.distributed import is_main_process
from mededit_monai.training.folder import PREVIEWS, PREVIEWS_FOLDER, TRACKING_FILES, TRAINING_FILES, training_folder
from mededit_monai.training.options import TrainingOptions, own_training_options

logger = logging.getLogger(__name__)

#: Options that are taken from ``settings``, or from the config by name, and need not be referred to; beside those of a
#: network's own that its batch preparation and its loss take.
READ = ("output_dir", "family", "condition", "loss_kind")


@dataclass(frozen=True)
class RunOptions(TrainingOptions):
    """
    The options of a training as its config has them.

    ``unused`` are those that nothing in the config looks at: they decide nothing, and are not written down.
    """

    unused: frozenset[str] = frozenset()

    def recorded(self) -> dict[str, Any]:
        """See the base class."""
        return {name: value for name, value in super().recorded().items() if name not in self.unused}


def check_training_run(parser: ConfigParser) -> None:
    """
    Refuse what has no effect in a training; see :func:`~mededit_monai.core.guard.check_run`. A declared option that
    nothing looks at has none either: it is to keep its value of the config files, or its default where none says it.
    """
    declared = options_of(TrainingOptions) | own_training_options()
    check_run(parser, set(declared), [one.name for one in declared.values() if one.file])
    with reporting_bad_input():
        network = network_named(parser.get_parsed_content("family"))
        known = options_of(TrainingOptions) | own_training_options(network)
        unused = sorted(_unused(parser, network) & set(parser.get()))
        said = said_by_files(parser) if unused else {}
        for name in unused:
            value = shown(parser.get(name))
            if not said.get(name, value == _listed(known[name].default)):
                raise InputError(f"--{name}: got {value!r}, but nothing in this training looks at it; leave it out.")


def _unused(parser: ConfigParser, network: Network) -> set[str]:
    """The options of a network's training that nothing in a config looks at."""
    taken = {one.name for part in ("batch", "loss") for one in network.training_options.get(part, ())}
    names = {*options_of(TrainingOptions), *own_training_options(network)} - taken - set(READ)
    return unused_options(parser, names, (*READ, *taken))


def _listed(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def training_settings(parser: ConfigParser) -> RunOptions:
    """
    The options of a training as a config has them, checked; bad input ends in one sentence.

    Args:
        parser: of the run; its top-level items are the options.
    """
    with reporting_bad_input():
        names = [name for name in (*options_of(TrainingOptions), *own_training_options()) if name in parser.get()]
        found = RunOptions.of({name: parser.get_parsed_content(name) for name in names})
        if found.device is None:
            raise InputError("--device: got null, wanted cpu, cuda, …; leave it out for a GPU if there is one.")
        require_device(found.device)
        if found.amp == "fp16" and torch.device(found.device).type == "cpu":
            logger.warning("--amp fp16: has no effect without a GPU; training in single precision. A CPU takes bf16.")
        return replace(found, unused=frozenset(_unused(parser, found.network)))


def prepare_batch_of(
    options: TrainingOptions,
    scheduler: Scheduler,
    even: bool = False,
    min_snr_gamma: float | None = None,
    lesion_weight: float = 0.0,
    autoencoder: torch.nn.Module | None = None,
) -> PrepareBatch:
    """The network's batch preparation; arguments as for ``MaskConditionedPrepareBatch``."""
    weights = {"min_snr_gamma": min_snr_gamma, "lesion_weight": lesion_weight}
    own = options.of_part("batch") | ({} if autoencoder is None else {"autoencoder": autoencoder})
    prepare: PrepareBatch = options.network.batch(
        scheduler=scheduler, condition=options.condition, even=even, **weights, **own
    )
    return prepare


def loss_of(options: TrainingOptions) -> torch.nn.Module:
    """The network's loss."""
    loss: torch.nn.Module = options.network.loss(kind=options.loss_kind, **options.of_part("loss"))
    return loss


def run_training(parser: ConfigParser) -> None:
    """What ``train.yaml`` runs: its trainer, in a folder that holds nobody else's files and no other training."""
    if not is_main_process():
        run_engine(parser, "train#trainer")
        return
    with reporting_bad_input():
        output = user_path(parser.get_parsed_content("output_dir"))
        inputs = parser.get_parsed_content("settings").inputs
        if "dataset_dir" in inputs and output.exists() and output.resolve() == inputs["dataset_dir"].resolve():
            raise InputError(f"--output_dir: {output} is the folder of the data; choose another for the training.")
        tracked = TRACKING_FILES if "tracking_uri" in parser.get() else ()
        there = [place.relative_to(output).as_posix() for place in (output / PREVIEWS_FOLDER).glob(PREVIEWS)]
        OutputFolder(output, inputs.values()).require_free(there)
        with training_folder(output, (*TRAINING_FILES, *tracked), inputs.values()), warnings.catch_warnings():
            # The schedule counts batches, of which the optimizer may gather several before its first step.
            warnings.filterwarnings("ignore", message="Detected call of `lr_scheduler.step")
            run_engine(parser, "train#trainer")
