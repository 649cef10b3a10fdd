# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""What a segmenter finds of lesions that were put into scans: known volume, known place."""
