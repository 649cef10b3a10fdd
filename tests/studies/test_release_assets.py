# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""The files of a release are those declared, and can be used as they lie."""

from __future__ import annotations

import shutil

import pytest
import torch
import yaml
from released_bundle import write_released

from mededit_monai.core.errors import InputError
from mededit_monai.io.checksums import weights_states
from mededit_monai.io.weight_files import find_weights
from studies.release_assets import write_assets
from studies.write_checksums import IN_GIT, REPOSITORY, lists


def test_what_is_written(tmp_path, monkeypatch):
    monkeypatch.delenv("MEDEDIT_WEIGHTS", raising=False)
    bundles = [write_released(tmp_path / name) for name in ("toy", "other")]
    (tmp_path / "none" / "models").mkdir(parents=True)
    out = tmp_path / "dist" / "weights"
    names = write_assets([*bundles, tmp_path / "none"], out, "https://example.org/v1/")
    assert names == ["toy_palette.pt", "other_palette.pt"] and weights_states(out) == dict.fromkeys(sorted(names), "ok")
    assert {place.name for place in out.iterdir()} == {
        *names,
        "SHA256SUMS",
        "toy_large_files.yml",
        "other_large_files.yml",
        ".mededit.json",
    }
    (entry,) = yaml.safe_load((out / "toy_large_files.yml").read_text())["large_files"]
    assert entry["path"] == "models/palette.pt" and entry["url"] == "https://example.org/v1/toy_palette.pt"
    # the same files again, now from the release alone
    for bundle in bundles:
        (bundle / "models" / "palette.pt").unlink()
        assert find_weights(bundle, "palette.pt", str(out)) == out / f"{bundle.name}_palette.pt"
        assert lists(bundle / "models")[bundle / "large_files.yml"] == (bundle / "large_files.yml").read_text()
    shutil.copytree(out, tmp_path / "kept")
    monkeypatch.setenv("MEDEDIT_WEIGHTS", str(tmp_path / "kept"))
    assert write_assets(bundles, out) == names
    assert "${FILES_URL}/toy_palette.pt" in (out / "toy_large_files.yml").read_text()  # no address is made up


def test_what_is_refused(tmp_path, monkeypatch):
    monkeypatch.delenv("MEDEDIT_WEIGHTS", raising=False)
    bundle, out = write_released(tmp_path / "toy"), tmp_path / "dist"
    with pytest.raises(InputError, match="--url: got 'server', wanted a web address"):
        write_assets([bundle], out, "server")
    torch.save({"weight": torch.zeros(3)}, bundle / "models" / "palette.pt")
    with pytest.raises(InputError, match="palette.pt: differs from its checksum in .*large_files.yml; bring the file"):
        write_assets([bundle], out)
    (bundle / "models" / "palette.pt").unlink()
    with pytest.raises(InputError, match="palette.pt: not found; it is released apart"):
        write_assets([bundle], out)
    assert not out.exists()


@pytest.mark.parametrize(
    "bundle, wanted",
    [
        ("stroke", {*IN_GIT} - {"model_four_modalities.pt"}),
        ("tumor", {*IN_GIT} - {"model_four_modalities.pt"}),
        ("semantic_synthesis", {"model.pt", "model_four_modalities.pt"}),
    ],
)
def test_what_stays_in_git_is_small(bundle, wanted):
    models = REPOSITORY / "bundles" / bundle / "models"
    sizes = {name: (models / name).stat().st_size for name in IN_GIT if (models / name).is_file()}
    assert set(sizes) == wanted and max(sizes.values()) < 25e6 and sum(sizes.values()) < 43e6
