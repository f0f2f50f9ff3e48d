"""A triplet loss with accidents, for tests: files in the working directory say which.

It computes what the triplet loss does. Accidents happen in a Slurm job only, so that the same
config run without one gives the result to compare with.
"""

import os
import time
from pathlib import Path

from dmlbench.losses.base import register_loss
from dmlbench.losses.triplet import Triplet


@register_loss("paced_triplet", takes="tuples", label="Paced triplet", terms_need_triplets=True)
class PacedTriplet(Triplet):
    """``accidents/<what>_<margin>`` holds a number; margins tell the runs of a test apart.

    A training of the smoke config has 60 steps.
    """

    def terms(self, batch, tuples):
        self.steps = getattr(self, "steps", 0) + 1
        if "SLURM_JOB_ID" in os.environ:
            time.sleep(self._accident("pace"))
            if self.steps == 10 and self._accident("always_fail"):
                raise RuntimeError("an accident that comes back")
            if self.steps == 50:
                if seconds := self._accident("stall", once=True):
                    time.sleep(seconds)
                if megabytes := self._accident("hog"):
                    self.hog = b"x" * int(megabytes * 2**20)
                    time.sleep(3)  # memory is looked at every second
                if self._accident("fail", once=True):
                    raise RuntimeError("an accident in the loss")
        return super().terms(batch, tuples)

    def _accident(self, what: str, once: bool = False) -> float:
        file = Path(f"accidents/{what}_{self.margin:g}")
        if not file.exists():
            return 0.0
        number = float(file.read_text())
        if once:
            file.unlink()
        return number
