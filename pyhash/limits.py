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
MAX_CERTIFICATES = 16  # certificates of one chain, or log entries, in one bundle
MAX_KEY_FILE_BYTES = 1 << 16  # PEM text of one key, or of a few certificates
MAX_CRL_BYTES = 1 << 25  # a certificate revocation list; the largest public ones have 20 MB
MAX_TRUST_ROOT_BYTES = 1 << 22  # a Sigstore trusted root; the public one has 7 kB
MAX_PASSPHRASE_BYTES = 1023  # one line; the most that OpenSSL encrypts a key with
MAX_RELEASE_NAME_BYTES = 256  # UTF-8 bytes of the name that releases are counted under
MAX_COSIGNATURES = 64  # bundles beside the first
MAX_POLICY_BYTES = 1 << 18  # one policy file
MAX_POLICY_RULES = 1000  # rules of one policy file
MAX_RULE_SIGNERS = 64  # keys and identities of one rule
MAX_AGE_SECONDS = 100 * 366 * 86_400  # a century: longer is a slip of the pen
MAX_STATE_BYTES = 1 << 14  # one file of remembered releases
MAX_DIGEST_LIST_BYTES = 1 << 28  # list of sha256sum's kind: a million files at 256 bytes each

# --- receipts -------------------------------------------------------------------------------
MAX_RECEIPT_BYTES = 1 << 29  # a million files at 500 bytes each
MAX_PROGRESS_BYTES = 1 << 31  # of one interrupted verification: 64 bytes for each MiB of 16 TiB

# --- transparency log -----------------------------------------------------------------------
MAX_LOG_ENTRY_BYTES = (1 << 16) - 1  # the format's own cap: a 16-bit length stands before each
MAX_LOG_SIZE = 1 << 48  # entries of one log
MAX_NOTE_BYTES = 1 << 16  # one signed note: a checkpoint with its co-signatures
MAX_NOTE_SIGNATURES = 64  # signatures of one note
MAX_PROOF_HASHES = 64  # hashes of one inclusion proof: a tree of 2**64 entries
MAX_BATCH_BYTES = 1 << 28  # entries of one append together, each with its two bytes of length

# --- provenance -----------------------------------------------------------------------------
MAX_PROVENANCE_FILE_BYTES = 1 << 28  # model.provenance.jsonl and model.proofs.jsonl
MAX_STATEMENTS = 4096  # statements of one checkpoint and its ancestors
MAX_STATEMENT_BYTES = 1 << 22  # one statement
MAX_DEPENDENCIES = 4096  # parents, data sets and other materials of one step
MAX_LINEAGE_DEPTH = 256  # steps from a checkpoint to its first ancestor
MAX_MODEL_CARD_BYTES = 1 << 20  # README.md with front matter

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

# --- health ---------------------------------------------------------------------------------
MAX_PROBE_FILE_BYTES = 1 << 10  # three short fields
MAX_PROBE_CONNECTIONS = 16  # at one time
MAX_PROBE_SECONDS = 5.0  # of one connection, from its first byte to its last

# --- distribution -----------------------------------------------------------------------------
MAX_LINKS_BYTES = 1 << 30  # a link set: a million files at a signed URL of 1 KiB each
MAX_POINTER_BYTES = 1 << 12  # the pointer "latest"
MAX_TUF_BYTES = 1 << 23  # one metadata file of TUF, above what its client takes
