"""Types with a range, for constructor signatures of losses and samplers and for the config.

They are what an annotation of a registered class may name: the config reads the annotations
from the source, so that a wrong value is refused without importing torch.
"""

from typing import Annotated, Literal

from pydantic import Field

PositiveFloat = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NonNegativeFloat = Annotated[float, Field(ge=0, allow_inf_nan=False)]
PositiveInt = Annotated[int, Field(gt=0)]
Seed = Annotated[int, Field(ge=0, lt=2**31)]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=48)]
Selection = Literal["last", "val", "test_max"]
Split = Literal["train", "test"]

ANNOTATIONS: dict[str, object] = {
    "PositiveFloat": PositiveFloat,
    "NonNegativeFloat": NonNegativeFloat,
    "PositiveInt": PositiveInt,
    "Literal": Literal,
    "float": float,
    "int": int,
    "bool": bool,
    "str": str,
}
