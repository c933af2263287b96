# SPDX-License-Identifier: Apache-2.0
"""Every attack on a checkpoint's files that must be refused, as one table: ATTACKS.

Each entry is one function of mutations.py, bound to a file of the checkpoint that ``make_victim``
writes, and what the refusal must say. Attacks on keys and policies are not here. Imports nothing
of pyhash: expectations are names, written from the documentation.
"""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.support import mutations as do
from tests.support.mutations import (
    ACCENTED,
    CONFIG,
    EMPTY,
    MODULES,
    SHARD_1,
    SHARD_2,
    SHARD_3,
    SHARD_BYTES,
    SPAN_BYTES,
    make_victim,
)

__all__ = ["AFTER", "ATTACKS", "BEFORE", "Attack", "make_victim"]

BEFORE, AFTER = "before", "after"
Act = Callable[[Path], None]


@dataclass(frozen=True, slots=True)
class Attack:
    """One attack.

    Attributes:
        act: Does it to a checkpoint's directory; may also write beside the directory.
        error: Name of the exception that ``verify`` must raise.
        code: Code that at least one of its findings must have; None: it carries no findings.
        when: AFTER signing; or BEFORE, input of a hostile publisher, for which ``sign`` must raise
            the same, and ``verify`` too when another tool has signed it.
        needs_root: Only root can do it.
    """

    act: Act
    error: str
    code: str | None
    when: str = AFTER
    needs_root: bool = False


def _on(name: str, function: Callable[..., None], *rest: object, **named: object) -> Act:
    """Act on one file of the checkpoint."""
    return lambda directory: function(directory / name, *rest, **named)


def _on_two(first: str, second: str, function: Callable[[Path, Path], None]) -> Act:
    return lambda directory: function(directory / first, directory / second)


def _edited(kind: str, act: Act) -> Attack:
    """An attack after signing that one kind of finding answers."""
    return Attack(act, _ERRORS[kind], kind)


def _published(act: Act, code: str = "closure") -> Attack:
    """An attack of the publisher."""
    return Attack(act, _ERRORS[code], code, when=BEFORE)


def _replaced(act: Act, *, needs_root: bool = False) -> Attack:
    """Something that is no file in place of a signed one: that is there, and the file is not."""
    return Attack(act, "MissingShardError", "unexpected", needs_root=needs_root)


_ERRORS = {
    "digest": "DigestMismatchError",
    "size": "SizeMismatchError",
    "missing": "MissingShardError",
    "unexpected": "UnexpectedFileError",
    "closure": "ClosureError",
}

_UNSIGNED_FILES = {
    "pickle": "pytorch_model.bin",
    "adapter": "adapter_config.json",
    "code": "modeling_llama.py",
    "chat_template": "chat_template.jinja",
    "hidden_file": ".cache/evil",
    "nested_version_control": "onnx/.git/evil",
    "nested_file": "onnx/quantized/evil.onnx",
    "second_bundle": "onnx/model.sig",
    "newline_name": "config.json\n",
    "case_twin": "Config.json",
    "nfd_twin": unicodedata.normalize("NFD", ACCENTED),
    "trailing_space_twin": "config.json ",
    "backslash_name": "..\\outside.safetensors",
}

ATTACKS: dict[str, Attack] = {
    # Other bytes, same size.
    "flip_first_byte": _edited("digest", _on(SHARD_1, do.flip_byte, 0)),
    "flip_first_byte_of_second_span": _edited("digest", _on(SHARD_1, do.flip_byte, SPAN_BYTES)),
    "flip_last_byte": _edited("digest", _on(SHARD_3, do.flip_byte, -1)),
    "flip_byte_keep_times": _edited(
        "digest", _on(SHARD_2, do.flip_byte_keep_times, SPAN_BYTES + 5)
    ),
    "flip_byte_of_json": _edited("digest", _on("tokenizer.json", do.flip_byte, 0)),
    "change_number_in_config": _edited(
        "digest", _on(CONFIG, do.replace_text, '"eos_token_id": 2', '"eos_token_id": 1')
    ),
    "change_chat_template": _edited(
        "digest",
        _on("tokenizer_config.json", do.replace_text, "{{ message['role']", "{{ message['evil']"),
    ),
    "zero_a_block": _edited("digest", _on(SHARD_2, do.zero_range, 1_500_000, 4096)),
    "swap_spans": _edited("digest", _on(SHARD_2, do.swap_ranges, 0, SPAN_BYTES, SPAN_BYTES)),
    "swap_files_of_equal_size": _edited("digest", _on_two(SHARD_1, SHARD_2, do.swap_files)),
    "replace_by_hard_link": _edited("digest", _on_two(SHARD_1, SHARD_2, do.replace_by_hard_link)),
    "point_signed_index_elsewhere": _edited(
        "size", partial(do.point_index, target="../outside.safetensors")
    ),
    # Other sizes.
    "append_byte": _edited("size", _on(SHARD_1, do.append, b"\0")),
    "append_to_empty_file": _edited("size", _on(EMPTY, do.append, b"x")),
    "cut_last_byte": _edited("size", _on(SHARD_3, do.cut, 1)),
    "cut_to_nothing": _edited("size", _on(SHARD_3, do.cut, SHARD_BYTES)),
    "huge_sparse_file": _edited("size", _on(SHARD_1, os.truncate, 1 << 42)),
    "swap_files_of_other_size": _edited("size", _on_two(CONFIG, "tokenizer.json", do.swap_files)),
    # Names.
    "delete_shard": _edited("missing", _on(SHARD_2, os.unlink)),
    "delete_empty_file": _edited("missing", _on(EMPTY, os.unlink)),
    "rename_shard": _edited("missing", _on(SHARD_1, do.rename, "model.safetensors")),
    "rename_case": _edited("missing", _on(CONFIG, do.rename, "Config.json")),
    "rename_to_nfd": _edited(
        "missing", _on(ACCENTED, do.rename, unicodedata.normalize("NFD", Path(ACCENTED).name))
    ),
    "move_to_other_directory": _edited("missing", _on_two(CONFIG, "onnx/config.json", os.rename)),
    # Files that nobody signed.
    **{
        f"add_{what}": _edited("unexpected", _on(name, do.add_file))
        for what, name in _UNSIGNED_FILES.items()
    },
    "add_name_that_is_not_utf8": _edited("unexpected", _on(os.fsdecode(b"evil\xff"), do.add_file)),
    "add_symlink_to_signed_file": _edited(
        "unexpected", lambda directory: (directory / "pytorch_model.bin").symlink_to(SHARD_1)
    ),
    "add_dangling_symlink": _edited(
        "unexpected", lambda directory: (directory / "pytorch_model.bin").symlink_to("nowhere")
    ),
    "add_symlink_to_directory": _edited(
        "unexpected", lambda directory: (directory / "more").symlink_to("onnx")
    ),
    "add_symlink_to_itself": _edited(
        "unexpected", lambda directory: (directory / "loop").symlink_to(".")
    ),
    "tree_file_becomes_directory": _edited(
        "unexpected", _on("model.tree", do.replace_by_directory)
    ),
    "too_deep": Attack(partial(do.add_deep_file, depth=100), "LimitError", None),
    # Something else in place of a file.
    "replace_by_symlink": _replaced(_on(SHARD_1, do.replace_by_symlink)),
    "replace_directory_by_symlink": _replaced(_on("onnx/quantized", do.replace_by_symlink)),
    "replace_by_directory": _replaced(_on(SHARD_1, do.replace_by_directory)),
    "replace_by_fifo": _replaced(_on(SHARD_1, do.replace_by_fifo)),
    "replace_by_socket": _replaced(_on(SHARD_1, do.replace_by_socket)),
    "replace_by_device": _replaced(_on(SHARD_1, do.replace_by_device), needs_root=True),
    # The bundle.
    "delete_bundle": Attack(_on("model.sig", os.unlink), "UnsignedError", None),
    "empty_bundle": Attack(_on("model.sig", os.truncate, 0), "FormatError", None),
    # A hostile publisher: whatever is validly signed still leads nowhere else.
    "index_to_parent": _published(do.point_index_outside),
    "index_to_absolute_path": _published(partial(do.point_index_outside, absolute=True)),
    "index_to_nothing": _published(partial(do.point_index, target="absent.safetensors")),
    "index_to_ignored_file": _published(do.point_index_ignored),
    "index_to_other_spelling": _published(partial(do.point_index, target=f"./{SHARD_1}")),
    "index_through_parent": _published(partial(do.point_index, target=f"onnx/../{SHARD_1}")),
    "index_key_twice": _published(partial(do.repeat_index_key, escaped=False)),
    "index_key_twice_escaped": _published(partial(do.repeat_index_key, escaped=True)),
    "config_key_twice": _published(_on(CONFIG, do.replace_text, "{\n", '{"vocab_size": 1,\n')),
    # Readers that keep numbers as doubles see another one. (NaN and Infinity pass: real
    # configurations have them, and everybody reads them alike.)
    "config_with_integer_of_54_bits": _published(_on(CONFIG, do.edit_json, vocab_size=2**53 + 1)),
    "config_takes_remote_code": _published(
        _on(CONFIG, do.edit_json, auto_map={"AutoModel": "evil/repo--modeling.Model"})
    ),
    "config_takes_unsigned_code": _published(
        _on(CONFIG, do.edit_json, auto_map={"AutoModel": "modeling_evil.Model"})
    ),
    "modules_lead_outside": _published(
        _on(MODULES, Path.write_text, '[{"idx": 0, "path": "../outside"}]')
    ),
    "tensor_twice": _published(_on(SHARD_1, do.repeat_tensor, escaped=False)),
    "tensor_twice_escaped": _published(_on(SHARD_1, do.repeat_tensor, escaped=True)),
    "data_behind_last_tensor": _published(_on(SHARD_1, do.append, b"\0" * 8)),
    "publish_symlink": _published(_on(SHARD_1, do.replace_by_symlink), "unexpected"),
    "publish_directory_symlink": _published(_on("onnx", do.replace_by_symlink), "unexpected"),
    "publish_fifo": _published(_on(SHARD_1, do.replace_by_fifo), "unexpected"),
}
