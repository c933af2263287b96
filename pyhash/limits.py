# SPDX-License-Identifier: Apache-2.0
"""Every cap on untrusted input, with its unit. What is above a cap ends in LimitError.

Caps are an order of magnitude above the largest thing seen in the field, so that they stop
bombs and never a real checkpoint.
"""

from __future__ import annotations

# --- checkpoint -----------------------------------------------------------------------------
MAX_SHARD_BYTES = 1 << 44  # 16 TiB; its span nodes take 512 MiB of memory
MAX_CHECKPOINT_FILES = 1_000_000  # files in one checkpoint
MAX_PATH_BYTES = 4096  # UTF-8 bytes of one path inside a checkpoint (PATH_MAX)
MAX_PATH_DEPTH = 64  # components of one path

# --- bundle and tree file -------------------------------------------------------------------
MAX_BUNDLE_BYTES = 1 << 30  # a million files at about 500 bytes each, in base64
MAX_TREE_FILE_BYTES = 1 << 30  # 32 TiB of checkpoint
MAX_SIGNATURES = 16  # signatures in one envelope
MAX_KEY_FILE_BYTES = 1 << 16  # PEM text of one key
MAX_DIGEST_LIST_BYTES = 1 << 28  # list of sha256sum's kind: a million files at 256 bytes each

# --- JSON -----------------------------------------------------------------------------------
MAX_JSON_DEPTH = 64  # nested arrays and objects
MAX_JSON_VALUES = 1 << 24  # values of one text; 2 GiB of memory at the very worst
MAX_JSON_INTEGER = (1 << 53) - 1  # largest integer that every JSON reader keeps exactly
MAX_CONFIG_BYTES = 1 << 26  # config.json and its kind, bytes
MAX_INDEX_BYTES = 1 << 28  # *.index.json, bytes

# --- checkpoint formats ---------------------------------------------------------------------
MAX_SAFETENSORS_HEADER_BYTES = 100_000_000  # the format's own cap
MAX_TENSORS = 1_000_000  # tensors of one file
MAX_TENSOR_RANK = 64  # dimensions of one tensor
MAX_GGUF_HEADER_BYTES = 1 << 28  # key-value pairs and tensor infos together
MAX_GGUF_PAIRS = 1_000_000  # key-value pairs
MAX_GGUF_STRING_BYTES = 1 << 26  # one string
MAX_GGUF_ARRAY_ITEMS = 1 << 26  # items of one array
MAX_GGUF_ARRAY_DEPTH = 4  # arrays of arrays

# --- lists of other tools -------------------------------------------------------------------
MAX_LIST_ENTRIES = 1_000_000  # lines of one list
MAX_OCI_JSON_BYTES = 1 << 22  # manifest or index; what registries accept
MAX_FLAT_MANIFEST_BYTES = 1 << 20  # six strings
MAX_HUB_NOTE_BYTES = 1 << 12  # three short lines beside a downloaded file
MAX_HUB_TREE_BYTES = 1 << 28  # a repository's list of files: a million at 256 bytes each
