# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""A disease from one file outside the package: simulated, and edited with, by the commands that its users type."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from conftest import REPOSITORY, write_head
from scipy import ndimage
from simulation.small_brains import label_maps

from mededit_monai.core.errors import InputError, raising_bad_input
from mededit_monai.diseases.bundle import bundle_disease
from mededit_monai.io.datalist import read_datalist

PLUGIN = Path(__file__).with_name("toy_disease.py")

#: Commands of `mededit` one after the other in one process, which imports MONAI once; prints their exit codes.
DRIVER = """
import json, sys
from mededit_monai.cli import main
for words in json.loads(sys.argv[1]):
    sys.argv = ["mededit", *words]
    try:
        main()
        code = 0
    except SystemExit as end:
        code = end.code
    print("ended with", code, file=sys.stderr, flush=True)
"""


def run(root: Path, *commands: str) -> str:
    """What the commands say on stderr, in a process that knows the plugin."""
    words = json.dumps([command.split() for command in commands])
    environment = {**os.environ, "MEDEDIT_PLUGINS": str(PLUGIN)}
    command = [sys.executable, "-c", DRIVER, words]
    return subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, timeout=600).stderr


def write_bundle(root: Path) -> Path:
    """The stroke bundle's configs and weights with other metadata."""
    stroke, bundle = REPOSITORY / "bundles" / "stroke", root / "bundle"
    (bundle / "configs").mkdir(parents=True)
    for path in (stroke / "configs").iterdir():
        (bundle / "configs" / path.name).symlink_to(path)
    (bundle / "models").symlink_to(stroke / "models")
    place = bundle / "configs" / "metadata.json"
    metadata = json.loads(place.read_bytes()) | {"disease": "cyst"}
    place.unlink()
    place.write_text(json.dumps(metadata))
    return bundle


@pytest.fixture(scope="module")
def ran(tmp_path_factory) -> tuple[Path, str]:
    """The folder that everything was written to, and what was said."""
    root = tmp_path_factory.mktemp("cyst")
    label_maps(root / "anatomies", 1)
    write_head(root / "head")
    write_bundle(root)
    files = "--scan head/scan.nii.gz --pathology head/pathology.nii.gz --brain head/brain.nii.gz"
    return root, run(
        root,
        "simulate --disease cist --cases 3 -o none",
        "simulate --disease cyst --cases 4 --anatomies anatomies --global_atrophy 0 -o cohort",
        f"edit {files} --bundle bundle --slice_index 10 --steps 2 --device cpu -o edits",
    )


@pytest.mark.slow
def test_the_commands_end_as_they_should(ran):
    root, said = ran
    codes = [line.removeprefix("ended with ") for line in said.splitlines() if line.startswith("ended with ")]
    assert codes == ["2", "0", "0"], said[-3000:]
    (refused,) = (line for line in said.splitlines() if "--disease: got 'cist', wanted one of " in line)
    assert all(name in refused for name in ("stroke", "tumor")) and refused.endswith("; did you mean 'cyst'?")
    assert not (root / "none").exists()


def test_the_lesion_is_where_the_plugin_puts_it_and_as_bright(ran):
    cases = read_datalist(ran[0] / "cohort" / "datalist.json")
    assert len(cases) == 4
    for case in cases:
        keys = ("image", "prior", "brain", "pathology", "ventricles", "prior_ventricles", "prior_tissue")
        at = {key: np.asarray(nib.load(case[key]).dataobj)[..., 0] for key in keys}
        lesion = at["pathology"] > 0
        middle = np.argwhere(lesion).mean(axis=0)
        assert "regions" not in case and at["prior_tissue"][tuple(np.rint(middle).astype(int))] == 3
        assert middle[0] > np.argwhere(at["brain"])[:, 0].mean()  # right
        radius = np.hypot(*(np.argwhere(lesion) - middle).T).max()
        beside_fluid = (ndimage.binary_dilation(lesion, iterations=2) & (at["ventricles"] > 0)).any()
        assert beside_fluid or np.pi * radius**2 < 1.4 * lesion.sum()  # round
        parameters = json.loads(Path(case["image"]).with_name("parameters.json").read_bytes())
        area = np.pi * (parameters["radius_mm"] / (220 / 128)) ** 2
        assert lesion.sum() == pytest.approx(area, rel=0.2) and 48 <= lesion.sum() <= 360
        white = at["prior_tissue"] == 3
        assert np.median(at["image"][lesion]) / np.median(at["prior"][white]) == pytest.approx(0.5, rel=0.2)
        assert np.median(at["prior"][lesion]) / np.median(at["prior"][white]) > 0.8
        # Nothing moves, and nothing else changes.
        assert not np.asarray(nib.load(case["displacement"]).dataobj).any()
        assert np.array_equal(at["ventricles"], at["prior_ventricles"])
        far = ~ndimage.binary_dilation(lesion, np.ones((3, 3)), iterations=2)
        assert np.array_equal(at["image"][far], at["prior"][far])
        pixel = nib.load(case["image"]).header.get_zooms()[0]
        assert pixel == pytest.approx(220 / 128) and parameters["disease"] == "cyst"
        assert 24 <= parameters["height_mni_mm"] < 36


def test_the_edit_knows_its_disease(ran):
    folder = ran[0] / "edits" / "scan"
    record = json.loads((folder / "provenance.json").read_bytes())
    assert record["options"]["disease"] == "cyst"
    assert (record["options"]["window_mm"], record["options"]["percentile"]) == (220, 99.0)
    assert record["model_pixel_mm"] == pytest.approx(220 / 128)
    edited, scan, region = (
        np.asarray(nib.load(path).dataobj).astype(float)
        for path in (folder / "edited.nii.gz", ran[0] / "head" / "scan.nii.gz", folder / "edit_region.nii.gz")
    )
    changed = edited != scan
    assert changed[..., 10].sum() > 50 and not changed[region == 0].any() and not np.delete(changed, 10, 2).any()
    assert not any("darker" in warning for warning in record["warnings"])  # only a stroke must be


def test_without_the_plugin_its_bundle_is_refused(ran):
    with pytest.raises(InputError, match="'disease' is 'cyst', wanted one of stroke, tumor"), raising_bad_input():
        bundle_disease(ran[0] / "bundle")


@pytest.mark.slow
def test_volumes_on_several_processes_and_other_layouts(ran):
    root = ran[0]
    said = run(
        root,
        "simulate --disease cyst --cases 3 --anatomies anatomies --spatial_dims 3 --workers 2 -o volumes",
        "simulate --disease cyst --cases 3 --anatomies anatomies --layout bids -o bids",
        "simulate --disease cyst --cases 3 --anatomies anatomies --layout nnunet -o nnunet",
    )
    assert said.count("ended with 0") == 3, said[-3000:]
    for case in read_datalist(root / "volumes" / "datalist.json"):
        image, prior, lesion = (np.asarray(nib.load(case[k]).dataobj) for k in ("image", "prior", "pathology"))
        assert image.shape == (128, 128, 112) and np.median(image[lesion > 0]) < 0.7 * np.median(prior[lesion > 0])
    assert (root / "bids/sub-training00000/anat/sub-training00000_label-L_desc-lesion_mask.nii.gz").is_file()
    facts = json.loads((root / "nnunet" / "dataset.json").read_bytes())
    assert facts["labels"] == {"background": 0, "lesion": 1} and facts["channel_names"] == {"0": "T1"}
