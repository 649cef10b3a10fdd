# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""What is written as JSON is JSON."""

from __future__ import annotations

import errno
import json
import math
import os

import numpy as np
import pytest

from mededit_monai.core.errors import find_input_error
from mededit_monai.io.atomic import json_bytes, replacing, write_json


def test_json_has_no_numbers_that_are_not_finite(tmp_path):
    content = {"a": [1.5, math.nan, (math.inf, -math.inf)], "b": {"c": np.float64("nan"), "d": "NaN"}, "e": True}
    write_json(tmp_path / "one.json", content)
    read = json.loads((tmp_path / "one.json").read_bytes(), parse_constant=lambda name: pytest.fail(f"{name} in JSON"))
    assert read == {"a": [1.5, None, [None, None]], "b": {"c": None, "d": "NaN"}, "e": True}
    assert math.isnan(content["b"]["c"])  # what was given is as it was
    assert json_bytes({"a": [1, 2.5, None]}, indent=0) == b'{\n"a": [\n1,\n2.5,\nnull\n]\n}\n'


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)),
        OSError("6400 requested and 4096 written"),  # numpy's
        RuntimeError("[enforce fail at inline_container.cc] . PytorchStreamWriter failed writing file data/0"),
    ],
    ids=str,
)
def test_a_full_disk_is_said_with_the_name_of_the_file(tmp_path, error):
    """The system says of which file for none of what was opened before."""
    with pytest.raises(type(error)) as caught, replacing(tmp_path / "a.bin") as unfinished:
        unfinished.write_bytes(b"half")
        raise error
    assert str(find_input_error(caught.value)).startswith(f"{tmp_path / 'a.bin'}") and not list(tmp_path.iterdir())


def test_a_device_that_is_full(tmp_path):
    (tmp_path / "full").symlink_to("/dev/full")
    with pytest.raises(OSError) as caught, replacing(tmp_path / "a.bin"), open(tmp_path / "full", "wb", 0) as stream:
        stream.write(b"x")
    assert str(find_input_error(caught.value)).startswith(f"{tmp_path / 'a.bin'}: no space left on device; free")
