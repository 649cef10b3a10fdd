# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""The verb: the mask, its picture, what is said of them, and what is refused."""

from __future__ import annotations

import json

import nibabel as nib
import numpy as np
import pytest
from lesions.ball import CENTRE, RADIUS, box_mask, millimetres, write_ball
from PIL import Image
from promises.verbs import mededit, tree  # noqa: F401

from mededit_monai.lesions import files, place, tissue
from mededit_monai.lesions.mni import MniSpace


@pytest.fixture()
def ball(tmp_path, monkeypatch):
    """A ball whose world is MNI space, on a small grid."""
    monkeypatch.setattr(tissue, "MNI_GRID", np.stack([CENTRE - RADIUS - 2, CENTRE + RADIUS + 2], axis=1))
    monkeypatch.setattr(place, "mni_space", lambda scan, brain, source: MniSpace(np.eye(4), "told", ("a doubt.",)))
    return write_ball(tmp_path / "in", "LPS")


def test_mask_picture_and_facts(ball, tmp_path, mededit):  # noqa: F811
    out = tmp_path / "out" / "lesion.nii.gz"
    words = ("--scan", ball, "--shape", "ellipsoid", "--centre", -30, -20, 20, "--radii", 6, 12, 9, "-o", out)
    done = mededit("lesion", *words, "--json")
    facts = json.loads(done.out)
    points = millimetres(out)
    assert points.mean(axis=0) == pytest.approx([-30, -20, 20], abs=0.5)
    assert facts["voxels"] == len(points) and facts["volume_ml"] == pytest.approx(4 / 3 * np.pi * 0.648, rel=0.15)
    assert facts["centre_mm"] == pytest.approx([-30, -20, 20], abs=0.5) and facts["side"] == "left"
    assert (
        facts["stratum"] == "medium"
        and facts["synthetic"]
        and facts["warnings"] == []
        and facts["source"] == "ellipsoid"
    )
    assert facts["brain_share"] == pytest.approx(facts["voxels"] * 27 / (4 / 3 * np.pi * RADIUS**3), rel=0.02)
    picture = np.asarray(Image.open(facts["preview"]).convert("RGB")).astype(int)
    assert (picture[..., 0] - picture[..., 1] > 100).sum() > 50  # a red outline
    before = tree(tmp_path)
    assert mededit("lesion", *words).code == 0 and tree(tmp_path) == before  # the same bytes again are no change
    said = mededit("lesion", *words).out
    assert "3.02 ml, medium, left, around -30 -20 20 mm" in said and "lesion.png" in said


@pytest.mark.slow
def test_a_territory_by_options_and_by_words(ball, tmp_path, mededit):  # noqa: F811
    out = tmp_path / "out" / "lesion.nii.gz"
    words = ("--scan", ball, "--territory", "MCA", "--side", "left", "--stratum", "large", "-o", out)
    done = mededit("lesion", *words, "--json")
    facts = json.loads(done.out)
    assert facts["drawn"]["place"].startswith("1258") and (facts["side"], facts["stratum"]) == ("left", "large")
    assert done.err == "mededit: warning: a doubt.\n" and facts["warnings"] == ["a doubt."]
    assert mededit("lesion", *words, "--strict", "--overwrite").refused("a doubt.", "--strict")


def test_the_places_of_ones_own_masks(ball, tmp_path, mededit):  # noqa: F811
    for k in range(12):
        box_mask(tmp_path / "masks" / f"{k}.nii.gz", (28, -20 + k / 4, 12), 8)
    out = tmp_path / "lesion.nii.gz"
    words = ("--scan", ball, "--territories", tmp_path / "masks", "--stratum", "medium", "-o", out, "--json")
    facts = json.loads(mededit("lesion", *words).out)
    assert facts["side"] == "right" and facts["drawn"]["place"] == "12 masks of the folder masks"
    assert np.abs(np.array(facts["drawn"]["grown_from_mni_mm"]) - [28, -18.6, 12]).max() < 14


@pytest.mark.parametrize(
    "words, said",
    [
        ("--shape sphere --radius 5", "--centre: is missing"),
        ("--shape sphere --centre 1 2 3 --radii 4 4 5", "--radii: got (4.0, 4.0, 5.0), but the shape 'sphere' has one"),
        ("--shape box --centre 1 2 3 --radius 4 --radii 4 4 5", "--radius: got 4.0 together with --radii"),
        ("--shape cube", "--shape: got 'cube', wanted one of"),
        ("--centre 1 2 3 --side left", "--centre: got (1.0, 2.0, 3.0), but a lesion drawn in a territory takes none"),
        ("--centre 1 2 3 --territories in", "--centre"),
        ("--shape sphere --centre 1 2 3 --radius 4 --territories in", "--territories: got 'in', but it says where"),
        ("--lesions nowhere", "nowhere: no such folder"),
        ("--territories nowhere", "nowhere: holds no NIfTI masks"),
        ("--volume 1 2", "--volume: got (1.0, 2.0)"),
        ("--shape irregular --mask a.nii", "--mask: was given together with --shape"),
    ],
)
def test_what_is_refused(ball, tmp_path, monkeypatch, mededit, words, said):  # noqa: F811
    monkeypatch.chdir(tmp_path)
    before = tree(tmp_path)
    assert mededit("lesion", "--scan", ball, "-o", "out/l.nii.gz", *words.split()).refused(said)
    assert tree(tmp_path) == before


def test_a_picture_of_another_mask_is_not_replaced(ball, tmp_path, mededit):  # noqa: F811
    words = ("lesion", "--scan", ball)
    assert mededit(*words, "--radius", 9, "-o", tmp_path / "lesion.nii.gz").code == 0
    before = tree(tmp_path)
    done = mededit(*words, "--radius", 7, "-o", tmp_path / "lesion.nii")
    assert done.refused("lesion.png: is there already, with other content") and tree(tmp_path) == before


def test_a_picture_of_somebodys_is_not_replaced(ball, tmp_path, mededit):  # noqa: F811
    (tmp_path / "lesion.png").write_bytes(b"mine")
    before = tree(tmp_path)
    done = mededit("lesion", "--scan", ball, "--radius", 9, "-o", tmp_path / "lesion.nii.gz", "--overwrite")
    assert done.refused("lesion.png", "not written by mededit") and tree(tmp_path) == before


def test_labels_of_a_tumour(ball, tmp_path):
    wanted = files.Wanted("sphere", (0, -20, 0), (20, 20, 20))
    made = files.write_lesion(wanted, ball, tmp_path / "t.nii", regions=True, keep_ventricles=True, preview=False)
    labels = np.asarray(nib.load(tmp_path / "t.nii").dataobj)
    assert set(np.unique(labels)) == {0, 1, 2, 3} and (labels > 0).sum() == made["voxels"] and made["preview"] is None
    assert not (tmp_path / "t.png").exists()


def test_labels_of_somebodys_tumour(ball, tmp_path):
    """Not layers by depth, but what the file says; a file that says nothing gets a warning."""
    head = nib.load(ball)
    labels = np.zeros(head.shape, np.uint8)
    labels[22:26, 15:20, 15:20], labels[26:30, 15:20, 15:20] = 2, 3
    for name, data in (("labels", labels), ("mask", labels // 2)):
        nib.save(nib.Nifti1Image(data, head.affine), tmp_path / f"{name}.nii.gz")
        wanted, place = files.Wanted(mask=str(tmp_path / f"{name}.nii.gz")), tmp_path / f"{name}_out.nii"
        made = files.write_lesion(wanted, ball, place, regions=True, keep_ventricles=True, preview=False)
        same = np.array_equal(np.asarray(nib.load(place).dataobj), labels)
        assert same is (name == "labels") and any("is made up" in said for said in made["warnings"]) is not same


def test_of_several_volumes_the_one_that_is_asked_for(ball, tmp_path, mededit):  # noqa: F811
    single = nib.load(ball)
    data = np.asarray(single.dataobj)
    both = nib.Nifti1Image(np.stack([np.zeros_like(data), data], axis=-1), single.affine, single.header)
    nib.save(both, tmp_path / "in" / "both.nii.gz")
    words = ("--shape", "sphere", "--radius", 10, "--centre", -30, -20, 20)
    assert mededit("lesion", "--scan", ball, *words, "-o", tmp_path / "one" / "lesion.nii.gz").code == 0
    several = ("lesion", "--scan", tmp_path / "in" / "both.nii.gz", *words, "-o", tmp_path / "two" / "lesion.nii.gz")
    done = mededit(*several, "--echo", 1)
    assert done.code == 0 and "number 1 (from 0) was taken" in done.err
    for name in ("lesion.nii.gz", "lesion.png"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    assert mededit(*several).refused("choose one with --echo, from 0 to 1")
    assert mededit(*several, "--echo", 2).refused("--echo: got 2")
    assert mededit(*several, "--echo", 0).refused("both.nii.gz")  # nothing is in it
