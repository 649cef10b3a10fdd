# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Heads on several modalities: one anatomy and one tumour on all of them, each as bright as its sequence shows it."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from simulation.small_brains import label_maps
from typer.testing import CliRunner

from mededit_monai.cli import app
from mededit_monai.core.errors import InputError
from mededit_monai.diseases.modalities import BRAIN_LABEL, MODALITIES, TUMOR_LABELS, t2_means, tumor_levels
from mededit_monai.io.datalist import read_datalist
from mededit_monai.io.nifti import read_array
from mededit_monai.simulation.appearance import t1_means
from mededit_monai.simulation.modalities import TumorParts, shrunk_labels
from mededit_monai.simulation.plan import Recipe

pytestmark = pytest.mark.slow

GIVEN = [word for name in MODALITIES for word in ("--modalities", name)]


@pytest.fixture(scope="module")
def cohort(tmp_path_factory) -> Path:
    """Three heads on all modalities, by the command."""
    root = tmp_path_factory.mktemp("heads")
    words = ["simulate", "--disease", "tumor", "--spatial_dims", "3", *GIVEN, "--side", "64", "--counts", "1", "1", "1"]
    words += ["--anatomies", str(label_maps(root / "anatomies")), "--no_progress", "--json", "-o", str(root / "out")]
    said = CliRunner().invoke(app, words)
    assert said.exit_code == 0, said.output
    assert json.loads(said.stdout)["made"] == 3
    again = json.loads(CliRunner().invoke(app, words).stdout)
    assert (again["made"], again["found"]) == (0, 3)
    return root / "out"


def test_what_is_on_disk(cohort):
    """Every modality on one grid of the model's window, within the brain; labels beside them; nothing of pairs."""
    content = json.loads((cohort / "datalist.json").read_text())
    assert content["synthetic"] is True and content["recipe"]["modalities"] == list(MODALITIES)
    for case in read_datalist(cohort / "datalist.json"):
        images = {name: nib.load(case[name]) for name in (*MODALITIES, "label")}
        for image in images.values():
            assert image.shape == (64, 64, 64) and np.allclose(image.header.get_zooms(), 200 / 64)
            assert b"synthetic" in image.header["descrip"].tobytes()
        label = read_array(case["label"])
        assert set(np.unique(label)) <= {0, *TUMOR_LABELS.values(), BRAIN_LABEL} and ((label > 0) & (label < 4)).any()
        for name in MODALITIES:
            image = read_array(case[name])
            assert image.min() >= 0 and image.max() <= 1 and image.max() > 0.9
            assert (image[label > 0] > 0).mean() > 0.99 and (image[label == 0] > 0).mean() < 0.1
        assert case["pixel_mm"] == pytest.approx(200 / 64) and "prior" not in case and "displacement" not in case


def test_modalities_show_one_head(cohort):
    """T1 with and without contrast agent agree but for what takes it up; T2 and FLAIR agree in tissue, not in fluid."""
    for case in read_datalist(cohort / "datalist.json"):
        seen = {name: read_array(case[name]) for name in (*MODALITIES, "label")}
        brain = seen["label"] == BRAIN_LABEL
        assert np.corrcoef(seen["t1"][brain], seen["t1ce"][brain])[0, 1] > 0.7
        assert np.corrcoef(seen["t1"][brain], seen["t2"][brain])[0, 1] < -0.2


def test_order_of_the_tissues():
    """White matter is brightest on T1, fluid on T2; on FLAIR fluid is darkest and gray is brighter than white."""
    for seed in range(20):
        rng = np.random.default_rng(seed)
        t1, t2, flair = t1_means(False, rng), t2_means("t2", rng), t2_means("flair", rng)
        assert t1["white"] > t1["cortex"] > t1["fluid"]
        assert t2["fluid"] > t2["cortex"] > t2["white"] > t2["vessel"]
        assert flair["cortex"] > flair["white"] > flair["fluid"]
        assert set(t1) == set(t2) == set(flair)


def test_levels_of_a_tumour():
    """Edema bright on T2 and FLAIR, the rim on T1 with contrast agent alone; one tumour, the same on every modality."""
    for seed in range(20):
        means = {
            "t1": t1_means(False, np.random.default_rng(seed)),
            "t1ce": t1_means(True, np.random.default_rng(seed)),
        }
        means |= {name: t2_means(name, np.random.default_rng(seed)) for name in ("t2", "flair")}
        levels = {name: tumor_levels(name, own, np.random.default_rng(seed)) for name, own in means.items()}
        assert levels["t1"]["edema"] <= means["t1"]["cortex"] and levels["t1"]["core"] < means["t1"]["cortex"]
        assert levels["t1ce"]["enhancing"] > means["t1ce"]["white"] * 0.95 > levels["t1"]["enhancing"] * 0.95
        for name in ("t2", "flair"):
            assert levels[name]["edema"] > 1.2 * means[name]["cortex"]
        assert levels["flair"]["core"] < levels["flair"]["edema"]
        wet = [(own["cortex"] - levels[name]["edema"]) / own["cortex"] for name, own in means.items() if name != "t2"]
        assert wet[0] == pytest.approx(wet[1]) == pytest.approx(0.3 * (-wet[2] / 0.9 - 0.35) / 0.45)


def test_parts_lie_where_the_regions_are():
    regions = np.zeros((40, 40, 40), np.uint8)
    regions[8:32, 8:32, 8:32], regions[14:26, 14:26, 14:26], regions[17:23, 17:23, 17:23] = 2, 3, 1
    parts = TumorParts.drawn(regions, 1.5625, np.random.default_rng(0))
    levels = {"edema": 2.0, "enhancing": 3.0, "core": 4.0, "blood": 4.0}
    found = parts.on(np.ones(regions.shape, np.float32), levels)
    assert (found[:4] == 1).all() and found[regions == 2].mean() > 1.4
    assert found[regions == 3].mean() > found[regions == 2].mean() and found[19:21, 19:21, 19:21].mean() > 3
    same = TumorParts.drawn(regions, 1.5625, np.random.default_rng(0))
    assert np.array_equal(same.on(np.ones(regions.shape, np.float32), levels), found)


def test_labels_on_a_coarser_grid():
    """The largest share; a rim within a tumour counts twice; a tumour with less than the brain is not there."""
    labels = np.full((4, 4, 4), BRAIN_LABEL, np.uint8)
    labels[:2, :2, :2] = [[[1, 1], [1, 3]], [[1, 1], [3, 3]]]  # 5 of core, 3 of rim: 6 counts
    labels[2:, :2, :2], labels[2, 0, 0] = 2, 1
    labels[:2, 2:, :2] = [[[1, 1], [1, 4]], [[4, 4], [4, 4]]]
    labels[2:, 2:, 2:] = 0
    found = shrunk_labels(labels, 2)
    assert found.tolist() == [[[3, 4], [4, 4]], [[2, 4], [4, 0]]]
    assert shrunk_labels(labels, 4).tolist() == labels.tolist()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"modalities": ("t1", "pd")}, "--modalities: got 'pd', wanted one of t1, t1ce, t2, flair"),
        ({"modalities": ("t1", "t1")}, "wanted each of t1, t1ce, t2, flair once"),
        ({"modalities": ()}, "wanted each of"),
        ({"disease": "stroke"}, "--disease stroke .* give --disease tumor --spatial_dims 3"),
        ({"spatial_dims": 2}, "--spatial_dims 2"),
        ({"crops": True}, "without --crops"),
        ({"layout": "bids"}, "--layout datalist"),
        ({"side": 48}, "--side: got '48', wanted one of 32, 64, 96, 128"),
        ({"modalities": None, "side": 64}, "--side: got 64, but it applies to --modalities"),
    ],
)
def test_what_it_refuses(changes, words):
    given = {"disease": "tumor", "spatial_dims": 3, "modalities": ("t1",)} | changes
    with pytest.raises(InputError, match=words):
        Recipe(**given).check()
