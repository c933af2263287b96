# SPDX-License-Identifier: Apache-2.0
"""Verified loading: bytes are read once, hashed in the memory that is handed out, and then used.

The guarantee is ``loaded``, the strongest there is without help of the kernel: no file can change
between the check and the use, because it is not read again.
"""

from __future__ import annotations

from pyhash.loading._load import (
    Loaded,
    chosen_files,
    layout_of,
    load,
    open_source,
    read_checkpoint,
    tensors_in_file,
)
from pyhash.loading._memory import allocate
from pyhash.loading._private import private_copy
from pyhash.loading._recorded import Recording, recording
from pyhash.loading._slices import Slices, Want, read_tensors
from pyhash.loading._source import GUARANTEE, Piece, Source, dropping
from pyhash.loading._views import Tensor, framework_name
from pyhash.loading._weights import model_weights

__all__ = [
    "GUARANTEE",
    "Loaded",
    "Piece",
    "Recording",
    "Slices",
    "Source",
    "Tensor",
    "Want",
    "allocate",
    "chosen_files",
    "dropping",
    "framework_name",
    "layout_of",
    "load",
    "model_weights",
    "open_source",
    "private_copy",
    "read_checkpoint",
    "read_tensors",
    "recording",
    "tensors_in_file",
]
