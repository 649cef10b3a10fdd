# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""
Runs the tests of a tree on request, each time in a fork: the libraries, which take most of the time of a short test,
are imported once.

Started by ``mutants.py`` in the tree. Takes a line of JSON (``tests``, ``output``, ``limit``) from stdin at a time and
answers with pytest's exit code, ``endless``, or ``stranger`` if another tree's package was tested.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

#: What the tests import, beside the package itself.
LIBRARIES = ("torch", "monai.bundle", "monai.transforms", "monai.engines", "monai.inferers", "monai.networks.nets")
LIBRARIES += ("nibabel", "scipy.ndimage", "sklearn.linear_model", "matplotlib.pyplot", "ignite.metrics", "pytest")

#: Exit code of a child that tested another package.
STRANGER = 99


def main() -> None:
    """Answer until stdin ends."""
    os.environ["MPLBACKEND"] = "Agg"
    for library in LIBRARIES:
        importlib.import_module(library)
    if "mededit_monai" in sys.modules:
        raise RuntimeError("the package was imported before there was a mistake in it")
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever prints, the answers stay alone
    for line in sys.stdin:
        print(answer(**json.loads(line)), file=answers, flush=True)


def answer(tests: list[str], output: str, limit: float | None) -> Any:
    """
    Run tests in a fork.

    Args:
        output: file for what pytest says.
        limit: seconds; None for no limit.
    """
    child = os.fork()
    if child == 0:
        os._exit(_test(tests, output))
    ends = None if limit is None else time.monotonic() + limit
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            code = os.waitstatus_to_exitcode(status)
            return "stranger" if code == STRANGER else code
        if ends is not None and time.monotonic() > ends:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return "endless"
        time.sleep(0.02)


def _test(tests: list[str], output: str) -> int:
    import pytest

    place = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for stream in (1, 2):
        os.dup2(place, stream)
    code = int(pytest.main(["-q", "-x", "-m", "not browser", "-p", "no:xdist", "--tb=no", *tests]))
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    tested = getattr(sys.modules.get("mededit_monai"), "__file__", None)
    return code if tested is None or Path(tested).is_relative_to(Path.cwd()) else STRANGER


if __name__ == "__main__":
    main()
