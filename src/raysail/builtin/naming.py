"""Names that controllers give: the random looking ends follow from what they stand for, so that writing something twice is harmless."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection
from typing import Any, Final

_ALPHABET: Final = "bcdfghjklmnpqrstvwxz2456789"
_HASH_DIGITS: Final = str.maketrans("0123456789", "456789bcdf")
"""As rand.SafeEncodeString turns decimal digits: no vowels, so no words."""


def unique_name(prefix: str, seed: str, start: int, taken: Collection[str]) -> str:
    """`prefix` and five characters that follow from `seed` and a number from `start` on; the first that is not taken."""
    attempt = start
    while True:
        number = int.from_bytes(hashlib.sha256(f"{seed}/{prefix}/{attempt}".encode()).digest()[:8])
        suffix = ""
        for _ in range(5):
            number, digit = divmod(number, len(_ALPHABET))
            suffix += _ALPHABET[digit]
        if prefix + suffix not in taken:
            return prefix + suffix
        attempt += 1


def template_hash(template: Any, collision: int = 0) -> str:
    """Ten characters that stand for a Pod template; `collision` counts hashes that were taken by another template."""
    text = json.dumps([template, collision], sort_keys=True, separators=(",", ":"))
    number = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8])
    return str(10**9 + number % (2**32 - 10**9)).translate(_HASH_DIGITS)
