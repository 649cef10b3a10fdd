# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Two edits of a head that moved in between are compared in the head."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from studies.raw_scans import MOVED_MM, Edited, a_motion, main, tissue_apart


@pytest.mark.parametrize("name", ["seed", "motions"])
def test_numbers_that_are_none(name, tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--scans", str(tmp_path), f"--{name}", "-1", "-o", str(tmp_path / "out")])
    assert ended.value.code == 2 and f"--{name}: got -1" in capsys.readouterr().err


def an_edit(field: np.ndarray, affine: np.ndarray) -> Edited:
    return Edited(Path(), np.zeros(3), np.zeros(3), field, affine, 0.0, 0.0, 0, {})


def linear_field(world: np.ndarray) -> np.ndarray:
    """A displacement that linear interpolation meets exactly, 3xN."""
    return np.array([[0.01, 0.02, 0], [0, -0.02, 0.01], [0.01, 0, 0.03]]) @ world + np.array([[2.0], [1.0], [3.0]])


@pytest.mark.parametrize("added", [(0, 0, 0), (0.3, 0, -0.4)])
def test_what_moves_with_the_head_is_not_apart(added):
    first_affine, again_affine = np.diag([2.0, 2, 2, 1]), np.diag([-3.0, 2, 1.5, 1])
    first_affine[:3, 3], again_affine[:3, 3] = -20, (60, -60, -60)
    motion, _ = a_motion(np.random.default_rng(0), np.zeros(3))

    def worlds(affine: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
        voxels = np.indices(shape).reshape(3, -1)
        return affine[:3, :3] @ voxels + affine[:3, 3:]

    first = linear_field(worlds(first_affine, (20, 20, 20))).reshape(3, 20, 20, 20)
    first[:, :10] = 0.9 * MOVED_MM / np.sqrt(3)  # does not count as moved
    shape, back = (41, 61, 81), np.linalg.inv(motion)
    its = back[:3, :3] @ worlds(again_affine, shape) + back[:3, 3:]
    again = motion[:3, :3] @ (linear_field(its) + np.reshape(added, (3, 1)))
    apart = tissue_apart(an_edit(first, first_affine), an_edit(again.reshape(3, *shape), again_affine), motion)
    assert apart.shape == (10 * 20 * 20,) and apart == pytest.approx(np.linalg.norm(added), abs=1e-6)
