# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Files: reading whole ones, writing whole ones, and never touching one that is somebody else's. Light to import."""

from __future__ import annotations
