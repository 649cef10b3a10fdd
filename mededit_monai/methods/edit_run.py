# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""What an editing bundle's config calls: its options, resolved, and the run."""

from __future__ import annotations

from contextlib import nullcontext, suppress

from monai.bundle import ConfigParser

from mededit_monai.bids.dataset import bids_dataset
from mededit_monai.core.devices import require_device
from mededit_monai.core.errors import InputError, reporting_bad_input
from mededit_monai.core.guard import check_run
from mededit_monai.core.lazy import Later
from mededit_monai.core.memory import give_large_blocks_back
from mededit_monai.core.options import options_of
from mededit_monai.core.running import run_engine
from mededit_monai.diseases import DISEASES
from mededit_monai.io.claims import claim
from mededit_monai.io.finished import clear_up
from mededit_monai.methods.edit_options import EditOptions
from mededit_monai.methods.record import own_options

_run_on_cluster = Later("mededit_monai.cluster.bundle:run_cases")


def check_edit_run(parser: ConfigParser) -> None:
    """Refuse what has no effect in a run of an editing bundle; see :func:`~mededit_monai.core.guard.check_run`."""
    declared = options_of(EditOptions)
    named = {*declared, *own_options(), "thesis_network_def"}  # the last is there for other programs
    check_run(parser, named, [one.name for one in declared.values() if one.file])


def edit_settings(parser: ConfigParser, refuse_useless: bool = True, spatial_dims: int | None = None) -> EditOptions:
    """
    The options of an edit as a config has them, checked and resolved; bad input ends in one sentence.

    Args:
        parser: of the run; its top-level items are the options.
        refuse_useless: whether an option that was set and has no use ends the run.
        spatial_dims: in place of the config's.
    """
    with reporting_bad_input():
        declared, config = options_of(EditOptions), parser.get()
        names = [name for name in (*declared, *own_options()) if name in config]
        values = {name: parser.get_parsed_content(name) for name in names}
        given = EditOptions.of(values if spatial_dims is None else values | {"spatial_dims": spatial_dims})
        require_device(given.device)
        found = given.resolved(DISEASES[parser.get_parsed_content("disease")])
        if refuse_useless:
            found.refuse_useless([n for n, one in declared.items() if n in names and getattr(given, n) != one.default])
        return found


def run_edits(parser: ConfigParser) -> None:
    """
    Build and run the evaluator of an editing bundle; while it runs, no other run takes up the same cases.

    Raises:
        InputError: another run is at the same cases, or a file of somebody's is where the summary goes.
        SomeFailed: at the end of a run that kept going.
    """
    with reporting_bad_input():
        cases, writer = parser.get_parsed_content("cases"), parser.get_parsed_content("writer")
        names = [case["case_id"] for case in cases]
        writer.require_free(names)
        out, bids = writer.output_dir, bids_dataset(parser)
        if bids is not None:
            bids.require_free(cases, cases.done, writer.keep_going)
        give_large_blocks_back()
        with claim(out, names) if cases else nullcontext():  # nothing to claim: every case is done already
            clear_up(out, names, cases.done)
            try:
                settings: EditOptions = parser.get_parsed_content("settings")
                if cases and settings.cluster is None:
                    run_engine(parser, "evaluator")
                elif cases:
                    how = settings.batch_size, settings.progress, settings.keeps_going
                    _run_on_cluster(parser, cases, settings.cluster, *how)
            except BaseException:
                with suppress(InputError, OSError):  # what ended the run is what is to be said
                    writer.summarize(cases.done)
                    if bids is not None:
                        bids.add_results(writer, cases.done)
                raise
            writer.add_pages(cases.done)
            laid_out = bids and bids.add_results(writer, cases.done, writer.keep_going)
            writer.summarize(cases.done)
            writer.written = writer.written if laid_out is None else laid_out
        writer.report_failures(len(cases.done))
