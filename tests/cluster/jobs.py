# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Jobs that workers can import."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from mededit_monai.core.errors import InputError, say
from mededit_monai.io.atomic import replacing


def squared(number: int) -> int:
    say(f"case {number}")
    say("warning: of every case")
    return number * number


def refusing(number: int) -> int:
    raise InputError(f"{number}.nii: is damaged; copy it again.")


def dying_once(number: int, marks: Path) -> int:
    """The first worker that is at job 3 is killed."""
    if number == 3 and not (marks / "killed").exists():
        (marks / "killed").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def deadly(number: int) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def slow_writer(number: int, folder: Path) -> None:
    with replacing(folder / f"{number}.txt") as unfinished:
        unfinished.write_text("half")
        time.sleep(60 * (number > 0))


def where() -> tuple[str, str | None]:
    return os.getcwd(), os.environ.get("OMP_NUM_THREADS")
