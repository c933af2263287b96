# SPDX-License-Identifier: Apache-2.0
"""Tells whether a verified checkpoint is still the verified one, to probes and to monitoring.

It looks at what files are, not at their bytes: see docs/health.md for what that can miss.
"""
