# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""What the config of a synthesis calls: its options, checked, and the run."""

from __future__ import annotations

from monai.bundle import ConfigParser

from mededit_monai.core.devices import require_device
from mededit_monai.core.errors import InputError, reporting_bad_input
from mededit_monai.core.guard import check_run
from mededit_monai.core.options import options_of
from mededit_monai.core.paths import user_path
from mededit_monai.core.running import run_engine
from mededit_monai.io.claims import claim
from mededit_monai.io.finished import clear_up
from mededit_monai.synthesis.options import SynthesisOptions
from mededit_monai.training.options import TrainingOptions


def check_synthesis_run(parser: ConfigParser) -> None:
    """
    Refuse what has no effect in a synthesis; see :func:`~mededit_monai.core.guard.check_run`. Overlays are laid over
    the training's config too, and what they say of the training is no fault here.
    """
    declared = options_of(SynthesisOptions)
    training = {*options_of(TrainingOptions), "window_mm"} - {"device", "datalist", "seed"}
    check_run(parser, set(declared) | training, [one.name for one in declared.values() if one.file])


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
        return found


def run_synthesis(parser: ConfigParser) -> None:
    """
    Build and run the evaluator; while it runs, no other run takes up the same cases.

    Raises:
        InputError: bad input, or another run at the same cases.
    """
    with reporting_bad_input():
        cases = parser.get_parsed_content("cases")
        if not cases:  # every case is done already
            return
        out, names = user_path(parser.get_parsed_content("output_dir")), [case["case_id"] for case in cases]
        with claim(out, names):
            clear_up(out, names)
            run_engine(parser, "evaluator")
