# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Many cases on many processes, here or on other machines, by Dask: ``--cluster``."""
