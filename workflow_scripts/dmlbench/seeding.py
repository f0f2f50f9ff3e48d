"""Seeds as hashes of named axes, and how many classes a validation split draws.

Sums of seeds would make streams collide across a sweep. Methods that share the values of all axes
share the stream, which makes them comparable in pairs.
"""

import hashlib
import json


def derive_seed(*axes: object) -> int:
    """A 63-bit seed that depends on the values and the order of all ``axes``."""
    text = json.dumps(axes, sort_keys=True, default=str)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def validation_classes(train_classes: int, share: float) -> int:
    """The number of training classes held out for validation; 0 means: hold out images instead.

    With one class held out, Recall@K would always be 1; with one left, there is no negative.
    """
    held_out = round(train_classes * share)
    return held_out if held_out >= 2 and train_classes - held_out >= 2 else 0
