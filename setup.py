# SPDX-License-Identifier: Apache-2.0
"""Hands csrc/ to cffi; everything else is in pyproject.toml."""

from setuptools import setup

setup(
    cffi_modules=["pyhash/_native/build.py:builder"],
    # The extension uses only Python's stable ABI (cffi, py_limited_api), so one wheel per
    # platform serves every version from 3.11 on.
    options={"bdist_wheel": {"py_limited_api": "cp311"}},
)
