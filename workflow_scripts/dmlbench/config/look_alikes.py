"""Names of classes that a reader cannot tell apart."""

import unicodedata
from collections.abc import Iterable

#: So many pairs are named in a message.
_NAMED = 3


def look_alikes(names: Iterable[str]) -> str:
    """Pairs of different names that look the same, for a message; "" where there are none.

    Such are ``dog`` and ``dog `` with a space, and the two spellings of an accent in Unicode (NFC,
    NFD), which systems exchange for each other. They would count as two classes.
    """
    seen: dict[str, str] = {}
    pairs = []
    for name in sorted(set(names)):
        first = seen.setdefault(" ".join(unicodedata.normalize("NFC", name).split()), name)
        if first != name:
            pairs.append(f"{first!a} and {name!a}")
    more = f" and {len(pairs) - _NAMED:,} more pairs" if len(pairs) > _NAMED else ""
    return ", ".join(pairs[:_NAMED]) + more
