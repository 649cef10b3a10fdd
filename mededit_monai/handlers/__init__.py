# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""MONAI and Ignite handlers."""

from mededit_monai.handlers.edit_writer import EditWriter
from mededit_monai.handlers.ema import ExponentialMovingAverage
from mededit_monai.handlers.sample_sheet import SampleSheet
from mededit_monai.handlers.weights import WeightsSaver, load_weights, save_weights, weights_sha256

__all__ = ["EditWriter", "ExponentialMovingAverage", "SampleSheet", "WeightsSaver", "load_weights", "save_weights", "weights_sha256"]
