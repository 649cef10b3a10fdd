# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Other noise and other conditioning from the bundle's training to its volumes, at toy size."""

from __future__ import annotations

import json

import nibabel as nib
import numpy as np
import pytest
from conftest import REPOSITORY
from synthesis.heads import label_array, write_heads, write_label

from mededit_monai.core.errors import InputError
from mededit_monai.workflows import synthesize, train

BUNDLE = REPOSITORY / "bundles" / "semantic_synthesis"
TOY = {"side": 16, "depth": 16, "channels": [8, 8, 8], "norm_num_groups": 4, "num_head_channels": 8, "device": "cpu"}


@pytest.mark.one_in(2)
@pytest.mark.parametrize(("conditioning", "schedule"), [("spade", "linear"), ("cross_attention", "exponential")])
def test_from_training_to_volumes(tmp_path, conditioning, schedule):
    given = {**TOY, "progress": False, "conditioning": conditioning, "noise_schedule": schedule}
    sizes = {"epoch_cases": 2, "max_epochs": 1, "val_cases": 2}
    out = train(BUNDLE, datalist=str(write_heads(tmp_path, 16, (2, 2))), output_dir=tmp_path / "out", **sizes, **given)
    settings = json.loads((out / "training.json").read_text())["settings"]
    assert (settings["conditioning"], settings["noise_schedule"]) == (conditioning, schedule)
    mask = write_label(tmp_path / "seg.nii.gz", label_array())
    found = []
    for name, seed in (("one", 1), ("same", 1), ("other", 2)):
        (folder,) = synthesize(mask, tmp_path / name, weights=out / "model.pt", steps=3, seed=seed, **given)
        found.append(np.asarray(nib.load(folder / "t1.nii.gz").dataobj))
    assert np.array_equal(found[0], found[1]) and not np.allclose(found[0], found[2])
    options = json.loads((folder / "provenance.json").read_text())["options"]
    assert (options["conditioning"], options["noise_schedule"]) == (conditioning, schedule)
    with pytest.raises(
        InputError, match=f"--conditioning: got 'concat', but .*model.pt was trained with '{conditioning}'"
    ):
        synthesize(mask, tmp_path / "no", weights=out / "model.pt", **{**given, "conditioning": "concat"})
    (out / "training.json").unlink()  # then the weights themselves say it, less well
    with pytest.raises(InputError, match="model.pt: does not fit the network"):
        synthesize(mask, tmp_path / "no", weights=out / "model.pt", **{**given, "conditioning": "concat"})
