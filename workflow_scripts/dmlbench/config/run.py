"""What identifies a run."""

from dataclasses import dataclass, fields

from dmlbench import paths

#: What stands in the place of a loss where nothing is trained. No entry of a config can have such a
#: name: it has a hyphen.
RANDOM, UNTRAINED = "random-embedding", "untrained-backbone"
#: The sampler that every config has: images shuffled, no tuples chosen.
NO_SAMPLER = "none"


@dataclass(frozen=True, order=True)
class Run:
    """One training: the names of its config entries and its seed.

    A control without training has its kind in the place of the loss.
    """

    dataset: str
    recipe: str
    loss: str
    sampler: str
    seed: int

    @property
    def id(self) -> str:
        """The run's path below ``runs/``, which is also how scripts name it."""
        return paths.RUN_ID.format(**self.__dict__)

    @property
    def method(self) -> tuple[str, str, str]:
        """What a run compares, whatever its dataset and seed: recipe, loss and sampler."""
        return self.recipe, self.loss, self.sampler

    @property
    def trained(self) -> bool:
        """Whether it is a training, not a control without one."""
        return self.loss not in (RANDOM, UNTRAINED)


#: The columns that identify a run in tables, and those that identify a method.
RUN_KEYS = [field.name for field in fields(Run)]
METHOD_KEYS = RUN_KEYS[1:4]
