/* SPDX-License-Identifier: Apache-2.0 */
/* Every kernel, one line each, the preferred first. Order: benchmarks/results/kernels-*.json.
 * It decides only until a calibration has been made (pyhash/_native/__init__.py). */
#if defined(__x86_64__)
PYHASH_KERNEL(pyhash_kernel_avx512_x16)
PYHASH_KERNEL(pyhash_kernel_shani_x2)
PYHASH_KERNEL(pyhash_kernel_avx2_x8)
PYHASH_KERNEL(pyhash_kernel_shani)
#elif defined(__aarch64__)
PYHASH_KERNEL(pyhash_kernel_sha2_x2)
PYHASH_KERNEL(pyhash_kernel_sha2)
#endif
PYHASH_KERNEL(pyhash_kernel_portable)
