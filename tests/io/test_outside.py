# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Results do not come to lie in a folder that is read, whichever verb reads it."""

from __future__ import annotations

import pytest

from mededit_monai.core.errors import InputError
from mededit_monai.io.outputs import require_outside


@pytest.mark.parametrize("below", ["read", "read/out", "read/a/b", "link", "link/out", "read/../read/out"])
def test_in_or_over_a_folder_that_is_read(tmp_path, below):
    (tmp_path / "read").mkdir()
    (tmp_path / "link").symlink_to("read")
    with pytest.raises(InputError, match="--output_dir: .* lies in .*read, the cohort; choose a folder beside it."):
        require_outside(tmp_path / below, tmp_path / "read")


@pytest.mark.parametrize("beside", ["out", "read_out", "read/../out", "."])
def test_beside_it(tmp_path, beside):
    """One whose name begins alike, and the folder around it, are other folders."""
    (tmp_path / "read").mkdir()
    require_outside(tmp_path / beside, tmp_path / "read")


def test_a_file_or_nothing_holds_no_results(tmp_path):
    (tmp_path / "list.json").touch()
    for read in ("list.json", "none"):
        require_outside(tmp_path / read / "out", tmp_path / read)
