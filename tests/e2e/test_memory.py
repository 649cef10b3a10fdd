# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""The most memory that one edit of a volume takes: what get_started promises."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import write_head

pytest.importorskip("resource")

#: Runs a command and prints its peak resident memory in GB.
PROGRAM = """
import resource, subprocess, sys
done = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL)
peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
print(done.returncode, peak / (1e9 if sys.platform == "darwin" else 1e6))
"""


def peak_gb(folder: Path, shape: tuple[int, int, int], spacing: tuple[float, float, float]) -> float:
    head = write_head(folder / "head", dtype=np.int16, shape=shape, spacing=spacing)
    edit = [sys.executable, "-m", "mededit_monai.cli", "edit", "-o", str(folder / "out")]
    edit += ["--scan", str(head.scan), "--pathology", str(head.pathology), "--no_progress"]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *edit], capture_output=True, text=True, env=os.environ, check=True
    )
    code, peak = done.stdout.split()[-2:]
    assert code == "0", done.stderr
    return float(peak)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("shape", "spacing", "most"),
    [((256, 256, 256), (1.0, 1.0, 1.0), 4.0), ((512, 512, 400), (0.45, 0.45, 0.5), 8.0)],
    ids=["256", "512"],
)
def test_an_edit_of_a_whole_head_stays_within_its_memory(tmp_path, shape, spacing, most):
    assert 0.5 < peak_gb(tmp_path, shape, spacing) <= most
