# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""
Unit test of the bundle BUNDLE_NAME, in the MONAI Model Zoo: a small head is edited, or synthesized from its mask, and a
small network is trained for an epoch.

    python ci/unit_tests/runner.py -b BUNDLE_NAME
"""

import json
import os
import shutil
import tempfile
import unittest

import nibabel as nib
import numpy as np
from monai.bundle import ConfigParser, ConfigWorkflow

ROOT = os.path.join("models", "BUNDLE_NAME")
TINY = {"channels": [8, 16], "attention_levels": [False, False], "num_head_channels": 8, "norm_num_groups": 4}


def small_head(folder):
    """Files of a scan, its lesion and a label map: a brain with ventricles, on voxels of 2.5 x 2.5 x 4 mm."""
    axes = [(np.arange(n) - (n - 1) / 2) * side for n, side in zip((60, 72, 20), (2.5, 2.5, 4.0))]
    x, y, z = np.meshgrid(*axes, indexing="ij")
    brain = (x / 66) ** 2 + (y / 82) ** 2 + (z / 60) ** 2 < 1
    ventricles = (np.abs(x) - 14) ** 2 / 64 + (y / 26) ** 2 + (z / 24) ** 2 < 1
    lesion = ((x - 38) ** 2 + (y + 8) ** 2 + z**2 < 14**2) & brain
    noise = np.random.default_rng(0).normal(0, 20, brain.shape)
    arrays = {
        "scan": np.where(brain, np.where(ventricles, 150, 650) + noise, 0).astype(np.int16),
        "pathology": lesion.astype(np.uint8),
        "mask": np.where(lesion, 2, np.where(brain, 4, 0)).astype(np.uint8),
    }
    files = {}
    for name, array in arrays.items():
        files[name] = os.path.join(folder, f"{name}.nii.gz")
        nib.save(nib.Nifti1Image(array, np.diag([2.5, 2.5, 4.0, 1.0])), files[name])
    return files


def config(name):
    """Path of a config of the bundle."""
    return os.path.join(ROOT, "configs", name)


class TestBundle(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp()
        self.output = os.path.join(self.folder, "out")

    def tearDown(self):
        shutil.rmtree(self.folder)

    def run_workflow(self, kind, name, **options):
        workflow = ConfigWorkflow(
            workflow_type=kind,
            config_file=config(name),
            logging_file=config("logging.conf"),
            meta_file=config("metadata.json"),
            bundle_root=ROOT,
            output_dir=self.output,
            progress=False,
            **options,
        )
        workflow.initialize()
        self.assertFalse(workflow.check_properties())
        workflow.run()
        workflow.finalize()

    def test_infer(self):
        files = small_head(self.folder)
        edits = "scan" in ConfigParser.load_config_file(config("inference.yaml"))
        names = ("scan", "pathology") if edits else ("mask",)
        given = {name: files[name] for name in names} | ({"slice_index": "auto", "steps": 2} if edits else {"steps": 2})
        self.run_workflow("infer", "inference.yaml", **given)
        (case,) = os.listdir(self.output)
        with open(os.path.join(self.output, case, "provenance.json")) as stream:
            self.assertTrue(json.load(stream)["synthetic"])
        if edits:
            edited = nib.load(os.path.join(self.output, case, "edited.nii.gz"))
            changed = np.asarray(edited.dataobj) != np.asarray(nib.load(files["scan"]).dataobj)
            self.assertTrue(changed[np.asarray(nib.load(files["pathology"]).dataobj) > 0].any())

    def test_train(self):
        if "cohort_size" not in ConfigParser.load_config_file(config("train.yaml")):
            self.skipTest("the training of this bundle needs a cohort")
        sizes = {"cohort_size": 8, "validation_size": 4, "batch_size": 4, "max_epochs": 1, "preview_interval": 0}
        self.run_workflow("train", "train.yaml", **sizes, **TINY)
        self.assertTrue(os.path.isfile(os.path.join(self.output, "model.pt")))


if __name__ == "__main__":
    unittest.main()
