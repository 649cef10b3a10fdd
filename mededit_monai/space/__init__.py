# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""The model's grid, the scan's own, and the way between them."""
