# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Bundles on their way to others: folders for the MONAI Model Zoo and Hugging Face, and bundles from there."""
