# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Freed volumes go back to the system, so that a run over many does not grow."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

PROGRAM = """
import sys
import numpy as np
from mededit_monai.core.memory import give_large_blocks_back
if sys.argv[1] == "back":
    give_large_blocks_back()
kept, block = [], np.ones(30 << 20, np.uint8)  # freed, it raises glibc's threshold above all that follows
del block
for round in range(40):
    volumes = [np.ones(8 << 20, np.uint8) for _ in range(5)]
    kept.append(np.ones(5 << 10, np.uint8))  # a little of every round stays, on top of what is freed
    del volumes
pages = int(open("/proc/self/statm").read().split()[1])
volumes = [np.ones(8 << 20, np.uint8) for _ in range(5)]
kept.append(np.ones(100 << 10, np.uint8))
del volumes
print((int(open("/proc/self/statm").read().split()[1])) * 4 // 1024)
"""


def megabytes(word: str) -> int:
    # A dask worker leaves MALLOC_TRIM_THRESHOLD_ behind, also for a test after it; glibc then gives all back by itself.
    own = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    done = subprocess.run([sys.executable, "-c", PROGRAM, word], capture_output=True, text=True, check=True, env=own)
    return int(done.stdout)


@pytest.mark.skipif(
    not sys.platform.startswith("linux") or platform.libc_ver()[0] != "glibc", reason="glibc's own habit"
)
def test_large_blocks_go_back():
    assert megabytes("back") < megabytes("kept") - 20
