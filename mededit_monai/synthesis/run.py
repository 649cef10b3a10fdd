# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""What the configs of a synthesis and of its training call: their options, checked, and the run."""

from __future__ import annotations

from contextlib import nullcontext, suppress

from monai.bundle import ConfigParser

from mededit_monai.bids.dataset import bids_dataset
from mededit_monai.core.devices import require_device
from mededit_monai.core.errors import InputError, reporting_bad_input
from mededit_monai.core.guard import check_run
from mededit_monai.core.lazy import Later
from mededit_monai.core.options import options_of
from mededit_monai.core.running import run_engine
from mededit_monai.io.claims import claim
from mededit_monai.io.finished import clear_up
from mededit_monai.networks.mask_conditioned_unet import check_sizes
from mededit_monai.networks.volume_autoencoder import require_autoencoder_sizes
from mededit_monai.synthesis.grid import require_levels_fit
from mededit_monai.synthesis.latent import SHARED as OF_AUTOENCODER
from mededit_monai.synthesis.latent import autoencoder_digest, require_autoencoder
from mededit_monai.synthesis.options import SynthesisOptions
from mededit_monai.synthesis.trained import AUTOENCODER, SHARED, require_as_trained
from mededit_monai.training.options import TrainingOptions
from mededit_monai.training.train_run import training_settings

#: Items that evaluate.yaml lays over a synthesis for its run to read by name.
OF_EVALUATION = ("limit", "planes_extractor", "volumes_extractor")

_run_on_cluster = Later("mededit_monai.cluster.bundle:run_cases")


def check_synthesis_run(parser: ConfigParser) -> None:
    """
    Refuse what has no effect in a synthesis; see :func:`~mededit_monai.core.guard.check_run`, to which what overlays
    say of the training, over whose config they are laid too, is no fault.
    """
    declared = options_of(SynthesisOptions)
    read = OF_EVALUATION if "evaluating" in parser.get() else ()
    check_run(parser, {*declared, *read}, [one.name for one in declared.values() if one.file])


def synthesis_settings(parser: ConfigParser) -> SynthesisOptions:
    """
    The options of a synthesis as a config has them, checked; bad input ends in one sentence.

    Args:
        parser: of the run; its top-level items are the options.
    """
    with reporting_bad_input():
        names = [name for name in options_of(SynthesisOptions) if name in parser.get()]
        found = SynthesisOptions.of({name: parser.get_parsed_content(name) for name in names})
        require_device(found.device)
        total = int(parser.get_parsed_content("scheduler#num_train_timesteps"))
        if found.steps > total:
            raise InputError(f"--steps: got {found.steps}, wanted at most {total}, the noise levels of the training.")
        require_fitting_network(parser)
        shared = {AUTOENCODER: autoencoder_digest(found.autoencoder)}
        shared |= {name: parser.get_parsed_content(name) for name in SHARED if name in parser.get()}
        shared["prediction_type"] = str(parser.get_parsed_content("scheduler#prediction_type"))
        shared["scheduler#num_train_timesteps"] = total
        require_as_trained(parser.get_parsed_content("weights_file"), shared)
        return found


def synthesis_training_settings(parser: ConfigParser) -> TrainingOptions:
    """
    The options of the bundle's training, checked as by :func:`~mededit_monai.training.train_run.training_settings`, and
    whether its network fits its grid.

    Args:
        parser: of the run; its top-level items are the options.
    """
    found = training_settings(parser)
    with reporting_bad_input():
        require_fitting_network(parser)
    return found


def require_fitting_network(parser: ConfigParser) -> None:
    """
    Whether sizes of the network go together and with the grid, asked before anything is built.

    Raises:
        InputError: names the option.
    """
    get = parser.get_parsed_content
    levels, latent = get("autoencoder_channels"), get("autoencoder") is not None
    require_autoencoder_sizes(levels, get("latent_channels"))
    if get("family") == "autoencoder":
        if latent:
            raise InputError("--autoencoder: is what this training makes; leave it out.")
        require_levels_fit(get("side"), get("depth"), levels, 1, "concat", "autoencoder_channels")
        return
    names = ("channels", "attention_levels", "num_head_channels", "norm_num_groups", "patch")
    channels, attention, head, groups, patch = (get(name) for name in names)
    check_sizes(channels, attention, 1, head, groups, patch)
    cell = patch * 2 ** (len(levels) - 1) if latent else patch
    require_levels_fit(get("side"), get("depth"), channels, cell, get("conditioning"))
    kind = str(get("scheduler#prediction_type"))
    if get("linear_guess") and kind != "sample":
        raise InputError(
            f"--linear_guess: is true, but --prediction_type is {kind}, and what is guessed is the clean volume; give "
            f"--prediction_type sample or --linear_guess false."
        )
    if latent:
        require_autoencoder(get("autoencoder"), {name: get(name) for name in OF_AUTOENCODER})


def run_synthesis(parser: ConfigParser) -> None:
    """
    Build and run the evaluator; while it runs, no other run takes up the same cases.

    Raises:
        InputError: bad input, or another run at the same cases, or a file of somebody's in the place of failed.json.
        SomeFailed: at the end of a run that kept going.
    """
    with reporting_bad_input():
        cases, writer = parser.get_parsed_content("cases"), parser.get_parsed_content("writer")
        names, bids = [case["case_id"] for case in cases], bids_dataset(parser)
        writer.require_free(names)
        if bids is not None:
            bids.require_free(cases, cases.done, writer.keep_going)
        with claim(writer.output_dir, names) if cases else nullcontext():  # nothing to claim: all are done already
            clear_up(writer.output_dir, names, cases.done)
            try:
                settings: SynthesisOptions = parser.get_parsed_content("settings")
                if cases and settings.cluster is None:
                    run_engine(parser, "evaluator")
                elif cases:
                    how = {"shown": settings.progress, "keep_going": settings.keeps_going}
                    _run_on_cluster(parser, cases, settings.cluster, **how)
            except BaseException:
                with suppress(InputError, OSError):  # what ended the run is what is to be said
                    writer.summarize(cases.done)
                raise
            laid_out = bids and bids.add_results(writer, cases.done, writer.keep_going)
            writer.summarize(cases.done)
            writer.written = writer.written if laid_out is None else laid_out
        writer.report_failures(len(cases.done))
