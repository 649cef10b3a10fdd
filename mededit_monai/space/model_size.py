# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""The size of the model's grid; light to import."""

#: Points along each side of a plane, and planes of a volume.
MODEL_SIZE, MODEL_DEPTH = 128, 112
