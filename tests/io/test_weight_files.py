# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Weights are taken from the bundle, else from the folder that was named, and only as they were released."""

from __future__ import annotations

import shutil

import pytest
import torch
from conftest import write_head
from promises.verbs import mededit  # noqa: F401
from released_bundle import shipped, write_released

from mededit_monai.core.errors import InputError
from mededit_monai.io.weight_files import find_weights, large_files_list, released_files
from mededit_monai.networks.weights import read_weights


@pytest.fixture()
def places(tmp_path, monkeypatch):
    """A bundle without ``palette.pt``, and a folder that holds the released one."""
    monkeypatch.delenv("MEDEDIT_WEIGHTS", raising=False)
    root, folder = write_released(tmp_path / "toy"), tmp_path / "release"
    folder.mkdir()
    shutil.move(root / "models" / "palette.pt", folder / "toy_palette.pt")
    return root, folder


def test_the_order_of_places(places, tmp_path, monkeypatch):
    root, folder = places
    own, released = root / "models" / "palette.pt", folder / "toy_palette.pt"
    assert find_weights(root, "palette.pt") == own and not own.is_file()
    assert find_weights(root, "palette.pt", str(folder)) == released
    other = tmp_path / "other"
    shutil.copytree(folder, other)
    monkeypatch.setenv("MEDEDIT_WEIGHTS", str(folder))
    assert find_weights(root, "palette.pt") == released
    assert find_weights(root, "palette.pt", str(other)) == other / "toy_palette.pt"  # what is given goes first
    own.write_bytes(b"mine")
    assert find_weights(root, "palette.pt", str(folder)) == own  # and the bundle's own before both
    assert float(read_weights(released)["weight"][0]) == 1.0


def test_only_what_is_released_is_looked_for(places):
    """A file of another bundle or of somebody's own is not taken for it."""
    root, folder = places
    (folder / "model_3d.pt").write_bytes(b"x")
    (folder / "toy_model_3d.pt").write_bytes(b"x")
    assert find_weights(root, "model_3d.pt", str(folder)) == root / "models" / "model_3d.pt"
    assert find_weights(root.rename(root.with_name("toy2")), "palette.pt", str(folder)).name == "toy_palette.pt"


def test_a_released_file_that_was_changed(places):
    root, folder = places
    torch.save({"weight": torch.zeros(2)}, folder / "toy_palette.pt")
    with pytest.raises(InputError, match="toy_palette.pt: differs from its checksum in .*large_files.yml; get it from"):
        find_weights(root, "palette.pt", str(folder))


def test_a_folder_that_is_none(places, monkeypatch):
    root, folder = places
    with pytest.raises(InputError, match=f"^--weights_dir: {folder}/no is no folder"):
        find_weights(root, "model.pt", str(folder / "no"))
    monkeypatch.setenv("MEDEDIT_WEIGHTS", str(folder / "toy_palette.pt"))
    with pytest.raises(InputError, match="^MEDEDIT_WEIGHTS: .*toy_palette.pt is no folder"):
        find_weights(root, "model.pt")


def test_a_file_that_is_absent_says_how_to_get_it(places):
    root, _ = places
    words = (
        "weights not found; it is released apart .*: put toy_palette.pt of the release .* --weights_dir or MEDEDIT_W"
    )
    with pytest.raises(InputError, match=words):
        read_weights(root / "models" / "palette.pt")
    with pytest.raises(InputError, match="model_3d.pt: weights not found; train the bundle or"):
        read_weights(root / "models" / "model_3d.pt")


@pytest.mark.parametrize(
    "text", ["", "large_files: 3", "large_files: [{path: models/a.pt}]", "large_files: [x", "- a", "large_files: [a]"]
)
def test_a_list_that_is_none(tmp_path, text):
    (tmp_path / "large_files.yml").write_text(text)
    with pytest.raises(InputError, match="large_files.yml: no list of files with path, url and hash_val .*; mend it"):
        released_files(tmp_path)


def test_a_list_is_read_as_it_was_written(tmp_path):
    text = large_files_list(
        [("models/a.pt", "toy_a.pt", "0" * 64), ("docs/b.pdf", "b.pdf", "1" * 64)], "https://a.b/c/"
    )
    (tmp_path / "large_files.yml").write_text(text)
    assert "url: https://a.b/c/toy_a.pt" in text
    assert {name: (one.asset, one.digest) for name, one in released_files(tmp_path).items()} == {
        "a.pt": ("toy_a.pt", "0" * 64)  # no other file is one of weights
    }


def test_an_edit_says_it_and_takes_the_folder(tmp_path, mededit, repository, monkeypatch):  # noqa: F811
    """The real command, with a bundle whose box weights are elsewhere."""
    root, source = tmp_path / "mine", repository / "bundles" / "stroke"
    shutil.copytree(source, root, ignore=shutil.ignore_patterns("*.pt"))
    entry = released_files(source)["model_box.pt"]
    (tmp_path / "release").mkdir()
    weights = shipped("stroke", "model_box.pt")
    monkeypatch.delenv("MEDEDIT_WEIGHTS", raising=False)
    (tmp_path / "release" / entry.asset).symlink_to(weights)
    head = write_head(tmp_path / "head")
    words = ["edit", "--bundle", root, "--scan", head.scan, "--pathology", head.pathology, "--brain", head.brain]
    words += ["--method", "mededit", "--condition", "box", "--slice_index", "10", "--steps", "2", "--resample", "1"]
    done = mededit(*words, "-o", tmp_path / "out")
    assert done.refused("model_box.pt: weights not found", "put stroke_model_box.pt of the release", "--weights_dir")
    assert not (tmp_path / "out").exists()
    done = mededit(*words, "-o", tmp_path / "out", "--weights_dir", tmp_path / "release")
    assert done.code == 0 and (tmp_path / "out" / "scan" / "edited.nii.gz").is_file(), done.said
    assert entry.digest in (tmp_path / "out" / "scan" / "provenance.json").read_text()
    done = mededit(*words, "-o", tmp_path / "again", "--weights_dir", tmp_path / "release", "--weights", weights)
    assert done.refused("--weights_dir", "applies to weights that are not given by name")
