# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""What stands in for a function while configs are looked at does not stay behind."""

from __future__ import annotations

import importlib
import sys

import pytest
from bites.wiring import listen


def test_a_module_imported_meanwhile_holds_the_real_function(monkeypatch):
    caller, place = "mededit_monai.synthesis.run", "mededit_monai.synthesis.latent:autoencoder_digest"
    real = importlib.import_module("mededit_monai.synthesis.latent").autoencoder_digest
    with pytest.MonkeyPatch.context() as patch:
        listen(patch, place, lambda asked: "light")
        assert importlib.import_module("mededit_monai.synthesis.latent").autoencoder_digest(None) == "light"
        assert caller in sys.modules and importlib.import_module(caller).autoencoder_digest is real
    assert importlib.import_module("mededit_monai.synthesis.latent").autoencoder_digest is real
