# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Formats of images, one a file: each is read as a NIfTI image in memory, and some are written back."""

from __future__ import annotations
