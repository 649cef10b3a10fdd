# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""What runs on a worker: a job as the parent would run it, heard by the parent alone; light to import."""

from __future__ import annotations

import io
import os
import signal
import socket
from collections.abc import Callable
from contextlib import redirect_stderr
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from mededit_monai import __version__
from mededit_monai.core.errors import InputError
from mededit_monai.core.loudness import loudness
from mededit_monai.io.claims import RUNS


@dataclass(frozen=True)
class Setting:
    """
    What a worker takes over from its parent.

    Args:
        folder: the working folder, from which relative paths lead.
        output: a folder on which the parent holds a claim; None: nothing is written.
        loud: how much is said.
        versions: of mededit_monai and torch, on which the bytes depend.
    """

    folder: str
    output: str | None
    loud: str
    versions: tuple[str, str] = (__version__, version("torch"))


def dask_setup(worker: Any) -> None:
    """Of a process that :mod:`mededit_monai.cluster.run` started here: a terminal sends Ctrl-C to it too."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def work(setting: Setting, function: Callable[..., Any], job: tuple) -> tuple[Any, str]:
    """
    Run ``function(*job)``.

    Returns:
        what it returned, and what it said on stderr.

    Raises:
        InputError: a worker on which the result would be another one, or would be lost.
    """
    from distributed import get_worker

    _require_same(setting, get_worker().state.nthreads)
    heard = io.StringIO()
    with redirect_stderr(heard), loudness(setting.loud):
        result = function(*job)
    return result, heard.getvalue()


def _require_same(setting: Setting, threads: int) -> None:
    here = f"--cluster: a worker on {socket.gethostname()}"
    if threads != 1:
        raise InputError(f"{here} has {threads} threads, wanted 1; start it with 'dask worker --nthreads 1'.")
    own = Setting.versions
    if setting.versions != own:
        found, wanted = (f"mededit_monai {one[0]} with torch {one[1]}" for one in (own, setting.versions))
        raise InputError(f"{here} has {found}, wanted {wanted} as here; install the same on both.")
    try:
        os.chdir(setting.folder)
    except OSError as error:
        raise InputError(f"{here} has no folder {setting.folder}; start in one that all workers see.") from error
    if setting.output is not None and not (Path(setting.output) / RUNS).is_dir():
        raise InputError(f"{here} does not see {setting.output}; choose an --output_dir that all workers share.")
