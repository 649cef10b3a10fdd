# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""MedEdit as a model of MONAI Label."""

from __future__ import annotations

from typing import Any

from lib.edit_request import edited_image
from monailabel.interfaces.tasks.infer_v2 import InferTask, InferType

#: The bundles, by the names that ``--conf models`` takes.
BUNDLES = ("stroke", "tumor")


class MedEdit(InferTask):
    """
    Adds the lesion that came as a label to the image, and answers with an image, not with labels.

    Args:
        bundle: ``stroke`` or ``tumor``.
    """

    def __init__(self, bundle: str) -> None:
        super().__init__(
            type=InferType.OTHERS,
            labels=[],
            dimension=3,
            description=f"Adds a {bundle}, and its effects elsewhere, to a T1 scan; the image is synthetic",
            config={"seed": 0},
        )
        self.bundle = bundle

    def is_valid(self) -> bool:
        """The weights come with the package."""
        return True

    def __call__(self, request: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        """Path of the edited image and facts about it; see :func:`~lib.edit_request.edited_image`."""
        return edited_image(self.config() | request, self.bundle)
