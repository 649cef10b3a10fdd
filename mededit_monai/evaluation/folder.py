# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""The folders that an evaluation or a bench writes to: what may go there, and one run at a time."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser

from mededit_monai.core.errors import InputError, reporting_bad_input, require_choice, require_number, require_whole
from mededit_monai.core.memory import give_large_blocks_back
from mededit_monai.core.paths import user_path
from mededit_monai.core.running import run_engine
from mededit_monai.io.claims import ALL
from mededit_monai.io.held import held_folder

#: Options of ``evaluate`` and ``bench``: least and most.
LIMITS = {
    "limit": (2, 10**6),
    "cases": (2, 10**6),
    "steps": (1, 1000),
    "seed": (0, 2**63 - 1),
    "batch_size": (1, 4096),
}


def path_word(name: str, value: Any, optional: bool = False) -> Any:
    """
    A path as text, ``~`` expanded; None stays None where the option need not be given.

    Raises:
        InputError: what is no text.
    """
    if value is None and optional:
        return None
    if not isinstance(value, (str, os.PathLike)) or not str(value).strip() or "\0" in str(value):
        raise InputError(f"--{name}: got {value!r}, wanted the path of a file or folder.")
    return str(user_path(value))


def check_limits(options: Any, names: Iterable[str]) -> None:
    """Raises InputError for an option that is no whole number within its limits; None: not given."""
    for name in names:
        least, most = LIMITS[name]
        require_whole(name, getattr(options, name), least, optional=name not in ("seed", "batch_size"), most=most)


def require_folder_name(place: str | Path, what: str, name: Any) -> None:
    """Raises InputError for a name that cannot be that of a file or folder: it would lead elsewhere."""
    if not isinstance(name, str) or not name or name.startswith(".") or set(name) & set("/\\\0"):
        raise InputError(f"{place}: has the {what} {name!r}; wanted a text without slash and without a dot in front.")


def check_evaluation_options(options: dict[str, Any]) -> None:
    """
    What ``evaluate.yaml`` checks beside the options of an edit.

    Args:
        options: ``limit``, ``reference_dilation``, ``eval_batch_size``, ``spacing_mm`` and, as ``switches``, yes or no.
    """
    with reporting_bad_input():
        require_whole("limit", options["limit"], 1, optional=True, most=10**6)
        require_whole("reference_dilation", options["reference_dilation"], 0, most=255)
        require_whole("eval_batch_size", options["eval_batch_size"], 1, most=4096)
        require_number("spacing_mm", options["spacing_mm"], 0.01, 100)
        for name, value in options["switches"].items():
            require_choice(name, value, (True, False))
        for name, value in options["paths"].items():
            path_word(name, value, optional=name != "output_dir")


def run_evaluation(parser: ConfigParser) -> None:
    """
    What ``evaluate.yaml`` runs: edit what is not stored yet and, without a shard, measure all.

    While it is at work, no other run is in the same folders, or at the same share.
    """
    output_dir, edits_dir, shard = (parser.get_parsed_content(k) for k in ("output_dir", "edits_dir", "shard"))
    wanted: dict[Path, str] = {}
    if edits_dir is not None:
        wanted[user_path(edits_dir)] = ALL if shard is None else f"shard {shard}"
    if shard is None:
        wanted[user_path(output_dir)] = ALL
    with reporting_bad_input(), ExitStack() as held:
        if int(os.environ.get("RANK", 0)) == 0:  # further processes of one run work in its name
            for folder, name in wanted.items():
                held.enter_context(held_folder(folder, claimed=[name]))
        give_large_blocks_back()
        run_engine(parser, "evaluate#editing")
        if shard is None:
            run_engine(parser, "evaluate#evaluator")
