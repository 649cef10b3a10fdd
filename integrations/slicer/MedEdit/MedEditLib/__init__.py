# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""What the module MedEdit does apart from 3D Slicer."""
