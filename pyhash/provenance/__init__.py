# SPDX-License-Identifier: Apache-2.0
"""How a checkpoint came about: one signed statement for each step of its life.

in-toto Statement v1 with SLSA Provenance v1, in ``model.provenance.jsonl`` beside the signature.
Imports nothing by itself: take what is needed from its modules.
"""
