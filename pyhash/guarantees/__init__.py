# SPDX-License-Identifier: Apache-2.0
"""The table of guarantees: what each is called and means, from weak to strong.

A guarantee is one file here that makes a ``Guarantee``, and one line in ``MEANINGS``. A weaker one
is only ever used when it was asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyhash.guarantees._base import Compared, Guarantee
from pyhash.guarantees.content import CONTENT
from pyhash.on_use import on_use

if TYPE_CHECKING:
    from pyhash.guarantees._once import once
    from pyhash.guarantees._only import only
    from pyhash.guarantees.kernel import KERNEL
    from pyhash.guarantees.receipt import by_receipt, recorded
    from pyhash.guarantees.resumed import resume
    from pyhash.guarantees.sampled import sample

__all__ = [
    "CONTENT",
    "KERNEL",
    "MEANINGS",
    "Compared",
    "Guarantee",
    "by_receipt",
    "is_at_least",
    "once",
    "only",
    "recorded",
    "resume",
    "sample",
]

# name -> module here that has it
_LATER = {
    "KERNEL": "kernel",
    "by_receipt": "receipt",
    "once": "_once",
    "only": "_only",
    "recorded": "receipt",
    "resume": "resumed",
    "sample": "sampled",
}

# Weakest first: a policy's least guarantee is compared by this order.
MEANINGS = {
    "receipt": "every byte was verified earlier on this host, and no file changed since",
    "sampled": "a stated part was hashed now, and nothing is known of the rest",
    "content": "every byte was hashed now; the files could change afterwards",
    "kernel": "every file is sealed, and the kernel checks each page of it whenever it is read",
    "loaded": "the bytes that were handed out were hashed where they are",
}


def is_at_least(name: str, least: str) -> bool:
    """Whether one guarantee is as strong as another, both names of ``MEANINGS``. Raises nothing."""
    order = list(MEANINGS)
    return order.index(name) >= order.index(least)


__getattr__ = on_use(__name__, globals(), _LATER)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
