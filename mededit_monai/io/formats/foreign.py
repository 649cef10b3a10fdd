# Copyright (c) the mededit_monai authors
# SPDX-License-Identifier: Apache-2.0
"""Files of formats that are not read: which they are, and which program converts them."""

from __future__ import annotations

from pathlib import Path

#: Beginnings of files; what they are, and what makes NIfTI of them.
_BEGINNINGS = (
    (b"CDF\x01", "MINC", "mnc2nii or mri_convert"),
    (b"CDF\x02", "MINC", "mnc2nii or mri_convert"),
    (b"\x89HDF\r\n\x1a\n", "HDF5, as MINC-2 is", "mnc2nii or mri_convert"),
    (b"\x89PNG", "a PNG picture", "3D Slicer, which stacks pictures if you know their voxel size"),
    (b"\xff\xd8\xff", "a JPEG picture", "3D Slicer, which stacks pictures if you know their voxel size"),
    (b"II*\x00", "a TIFF picture", "3D Slicer, which stacks pictures if you know their voxel size"),
    (b"MM\x00*", "a TIFF picture", "3D Slicer, which stacks pictures if you know their voxel size"),
    (b"mrtrix image", "MRtrix", "mrconvert"),
    (b"PK\x03\x04", "a ZIP archive", "unzip first, and then dcm2niix if DICOM is in it"),
    (b"\x93NUMPY", "a NumPy array, which says nothing of its voxels' place", "nibabel.Nifti1Image(array, affine)"),
)

#: Endings of names, of formats without a beginning of their own.
_ENDINGS = (
    ((".brik", ".brik.gz", ".head"), "AFNI", "3dAFNItoNIFTI"),
    ((".par", ".rec", ".xml"), "Philips PAR/REC", "dcm2niix"),
    ((".ima", ".dcm"), "DICOM without the usual beginning", "dcm2niix"),
    ((".v16", ".vmr", ".v"), "BrainVoyager or ECAT", "3D Slicer or the scanner's program"),
    ((".gipl", ".vtk"), "GIPL or VTK", "c3d of ITK-SNAP"),
)


def foreign(path: Path, content: bytes) -> str | None:
    """What is wrong with a file of another format, with the converter for it; None for any other."""
    known = [one[1:] for one in _BEGINNINGS if content.startswith(one[0])]
    known += [one[1:] for one in _ENDINGS if path.name.lower().endswith(one[0])]
    if not known:
        return None
    title, program = known[0]
    return f"is {title}, which is not read; convert it to NIfTI with {program}."
