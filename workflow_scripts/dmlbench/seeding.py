"""Seeds as hashes of named axes.

A seed that is a sum or a product of others makes streams collide across a sweep; a hash of what
the stream is for does not. Two methods that share an axis value share the stream, which is what
makes them comparable in pairs.
"""

import hashlib
import json


def derive_seed(*axes: object) -> int:
    """A 63-bit seed that depends on the values and the order of all ``axes``."""
    text = json.dumps(axes, sort_keys=True, default=str)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
