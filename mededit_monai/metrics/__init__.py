# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Measures of an edit."""

from mededit_monai.metrics.adherence import intensity_drop
from mededit_monai.metrics.preservation import edge_gradient

__all__ = ["edge_gradient", "intensity_drop"]
