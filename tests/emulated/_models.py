# SPDX-License-Identifier: Apache-2.0
"""The emulated processors, and what each must report: written down here, measured nowhere.

From the processors' public feature lists and the definitions of QEMU's models. QEMU emulates no
AVX-512, so a model of a processor that has it reports all but that. Runs nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

AVX2 = frozenset({"avx2_x8"})
SHANI = frozenset({"shani", "shani_x2"})
SHA2 = frozenset({"sha2", "sha2_x2"})
NONE: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Model:
    """One emulated processor.

    Attributes:
        arch: ``x86`` or ``arm64``.
        cpu: What is given to ``-cpu``.
        kernels: The kernels besides ``portable`` that it must be able to run; no others.
        because: Why these.
        all_lengths: The kernels that the C kernel tests run on it; the others get less there.
        python: Whether Python and the extension run on it too; on the first and the last of these
            also the command line.
    """

    arch: str
    cpu: str
    kernels: frozenset[str]
    because: str
    all_lengths: tuple[str, ...] = ()
    python: bool = False


X86 = (
    Model(
        "x86",
        "max",
        AVX2 | SHANI,
        "everything that QEMU can emulate",
        all_lengths=("shani_x2", "avx2_x8", "shani", "portable"),
        python=True,
    ),
    Model("x86", "EPYC-Milan", AVX2 | SHANI, "Zen 3: AVX2 and SHA", python=True),
    Model("x86", "SapphireRapids", AVX2 | SHANI, "AVX2 and SHA; its AVX-512 cannot be emulated"),
    Model("x86", "Icelake-Server", AVX2, "QEMU's model has no SHA; no AVX-512 either", python=True),
    Model(
        "x86", "Haswell", AVX2, "the first with AVX2; no SHA", all_lengths=("avx2_x8",), python=True
    ),
    Model(
        "x86",
        "Denverton",
        SHANI,
        "Goldmont: SHA, but not even AVX",
        all_lengths=("shani_x2", "shani"),
        python=True,
    ),
    Model("x86", "Snowridge", SHANI, "Tremont: SHA, but not even AVX"),
    Model("x86", "Nehalem", NONE, "SSE4.2 at most", python=True),
    Model("x86", "qemu64", NONE, "SSE3 at most", all_lengths=("portable",), python=True),
    Model("x86", "Opteron_G1", NONE, "its CPUID ends before leaf 7", python=True),
    Model("x86", "max,-sha-ni", AVX2, "SHA taken away"),
    Model("x86", "max,-avx2", SHANI, "AVX2 taken away"),
    Model("x86", "max,-avx", SHANI, "AVX taken away, which AVX2 needs"),
    Model("x86", "max,-xsave", SHANI, "the system saves no wide registers"),
    Model("x86", "max,-ssse3", NONE, "the byte shuffle that every one of them uses taken away"),
    Model("x86", "max,-sse4.1", AVX2, "the insertions that the SHA kernels use taken away"),
)

ALL_ARM64 = ("sha2_x2", "sha2", "portable")
# Every model that QEMU 10 has of this architecture can do SHA2.
ARM64 = (
    Model("arm64", "max", SHA2, "everything that QEMU can emulate", ALL_ARM64),
    Model("arm64", "cortex-a53", SHA2, "ARMv8.0 with its cryptographic extension"),
    Model("arm64", "cortex-a72", SHA2, "ARMv8.0 with its cryptographic extension", ALL_ARM64),
    Model("arm64", "neoverse-n1", SHA2, "ARMv8.2 server", ALL_ARM64),
    Model("arm64", "neoverse-v1", SHA2, "ARMv8.4 server with SVE"),
    Model("arm64", "a64fx", SHA2, "ARMv8.2 with 512-bit SVE"),
)

# Without its SIMD unit a model loses SHA2 as well; QEMU 7 can be told so, QEMU 10 no longer.
# The nearest real thing is the Raspberry Pi 4: Cortex-A72 without the cryptographic extension.
ARM64_WITHOUT_SHA2 = Model(
    "arm64", "cortex-a72,neon=off,vfp=off", NONE, "no cryptographic extension"
)
