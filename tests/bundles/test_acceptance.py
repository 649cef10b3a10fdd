# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""What the Model Zoo accepts, for every bundle."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import torch
from conftest import REPOSITORY, write_head
from monai.bundle import ConfigWorkflow, ckpt_export, verify_metadata, verify_net_in_out

from mededit_monai.reports.release_check import DEFAULT
from mededit_monai.workflows import bundle_content

SCHEMA = Path(os.environ.get("MEDEDIT_META_SCHEMA", REPOSITORY.parent / "shared/zoo/meta_schema_20240725.json"))


@pytest.fixture(params=["stroke", "tumor"])
def bundle(request) -> Path:
    return REPOSITORY / "bundles" / request.param


@pytest.mark.skipif(not SCHEMA.is_file(), reason="the zoo's metadata schema is not at hand (MEDEDIT_META_SCHEMA)")
def test_metadata_is_valid(bundle, tmp_path):
    schema = tmp_path / "schema.json"  # found on disk, MONAI does not download it
    schema.write_bytes(SCHEMA.read_bytes())
    verify_metadata(meta_file=str(bundle / "configs" / "metadata.json"), filepath=str(schema))


def test_metadata_names_what_is_installed(bundle):
    metadata = json.loads((bundle / "configs" / "metadata.json").read_text())
    assert metadata["version"] in metadata["changelog"]
    pins = dict(line.split("==") for line in (REPOSITORY / "constraints.txt").read_text().split() if "==" in line)
    for name, version in metadata["required_packages_version"].items():
        assert name == "mededit_monai" or pins[name] == version, name
    assert metadata["monai_version"] == pins["monai"] and metadata["pytorch_version"] == pins["torch"]


def test_network_in_and_out(bundle):
    verify_net_in_out(
        net_id="network_def",
        meta_file=str(bundle / "configs" / "metadata.json"),
        config_file=str(bundle / "configs" / "inference.yaml"),
        device="cpu",
        n=2,
    )


def test_traced_export(bundle, tmp_path):
    target = tmp_path / "model.ts"
    ckpt_export(
        net_id="network_def",
        filepath=str(target),
        ckpt_file=str(bundle / "models" / "model.pt"),
        meta_file=str(bundle / "configs" / "metadata.json"),
        config_file=str(bundle / "configs" / "inference.yaml"),
        use_trace=True,
        input_shape=[1, 3, 128, 128],
    )
    x = torch.rand(1, 3, 128, 128)
    (network,) = bundle_content(bundle, ("network",), method="mededit")
    with torch.no_grad():
        assert torch.allclose(torch.jit.load(str(target))(x), network.eval()(x), atol=1e-4)


def test_no_property_is_missing(bundle, tmp_path):
    head = write_head(tmp_path / "head")
    sizes = {"cohort_size": 8, "validation_size": 4, "batch_size": 4, "progress": False}
    files = {"scan": str(head.scan), "pathology": str(head.pathology)}
    for config, kind, options in (("train.yaml", "train", sizes), ("inference.yaml", "inference", files)):
        options = {**options, "bundle_root": str(bundle), "output_dir": str(tmp_path / "out")}
        workflow = ConfigWorkflow(str(bundle / "configs" / config), logging_file=False, workflow_type=kind, **options)
        workflow.initialize()
        assert workflow.check_properties() == [], config


def test_files_of_the_bundle(bundle):
    for name in ("LICENSE", "docs/README.md", "docs/data_license.txt", "configs/logging.conf", "models/model.pt"):
        assert (bundle / name).is_file(), name
    assert all(path.stat().st_size <= 16e6 for path in (bundle / "models").iterdir())


def test_what_both_share_exists_once():
    """The tumour bundle's configs are the stroke bundle's; what differs is in the metadata."""
    for name in ("inference.yaml", "train.yaml", "multi_gpu_train.yaml", "logging.conf"):
        files = [REPOSITORY / "bundles" / b / "configs" / name for b in ("stroke", "tumor")]
        assert files[1].is_symlink() and files[1].resolve() == files[0].resolve()


def test_the_default_editor(bundle):
    """The one that the release check scores; few evaluations, whatever the disease."""
    ids = ("method", "steps", "sampler", "resample")
    assert bundle_content(bundle, ids) == (DEFAULT, 2, "ddim", 1)
    assert bundle_content(bundle, ids, method="mededit") == ("mededit", 50, "ddpm", 2)


def test_defaults_of_each_disease():
    """Thesis: window, percentile and SDEdit start; boxes are dilated by 20, masks by 25."""
    ids = ("disease", "window_mm", "percentile", "sdedit_start", "dilation")
    assert bundle_content("stroke", ids) == ("stroke", 233, 98.0, 0.2, 25)
    assert bundle_content("tumor", ids) == ("tumor", 200, 99.5, 0.6, 25)
    assert bundle_content("tumor", ("dilation",), condition="box") == (20,)


def test_weights_are_plain_half_precision(bundle):
    for path in (bundle / "models").glob("*.pt"):
        state = torch.load(path, weights_only=True)
        assert {v.dtype for v in state.values()} == {torch.float16}
        assert all(torch.isfinite(v).all() for v in state.values())
