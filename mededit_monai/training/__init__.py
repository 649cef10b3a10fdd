# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Batch preparation, losses, warm start and several processes."""
