# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""The folder that nnU-Net searches for trainers; importing it does not need nnU-Net."""
