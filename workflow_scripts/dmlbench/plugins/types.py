"""Types with a range, for constructor signatures of losses and samplers and for the config.

They are what an annotation of a registered class may name: the config reads the annotations
from the source, so that a wrong value is refused without importing torch.
"""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field


def _number(value: Any) -> int | float:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    try:
        return float(value if isinstance(value, str) else "")  # YAML reads 1e-3 as text
    except ValueError:
        raise ValueError("should be a number") from None


def _no_boolean(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("should be a number")
    return value


# YAML's yes and true are no numbers. The check comes last, so that the JSON schema shows the range.
_FLOAT, _INT = BeforeValidator(_number), BeforeValidator(_no_boolean)
Finite = Annotated[float, Field(allow_inf_nan=False), _FLOAT]
PositiveFloat = Annotated[float, Field(gt=0, allow_inf_nan=False), _FLOAT]
#: A factor in an exponent: far beyond any in use, and far below what float32 rounds away.
Rate = Annotated[float, Field(gt=0, le=1e6), _FLOAT]
NonNegativeFloat = Annotated[float, Field(ge=0, allow_inf_nan=False), _FLOAT]
Share = Annotated[float, Field(ge=0, lt=1), _FLOAT]
PositiveShare = Annotated[float, Field(gt=0, le=1), _FLOAT]
Majority = Annotated[float, Field(gt=0.5, le=1), _FLOAT]
Whole = Annotated[int, _INT]
PositiveInt = Annotated[int, Field(gt=0), _INT]
Seed = Annotated[int, Field(ge=0, lt=2**31), _INT]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=48)]
Selection = Literal["last", "val", "test_max"]
Split = Literal["train", "test"]
#: Learning rate of a loss's own parameters; None takes the recipe's.
LossRate = PositiveFloat | None
#: An argument whose default is a number; a whole number stays one.
Number = Annotated[Any, BeforeValidator(_number)]
#: A loss inside a loss, described like any entry of ``losses``.
LossSpec = dict[str, Any]

ANNOTATIONS: dict[str, object] = {
    "PositiveFloat": PositiveFloat,
    "NonNegativeFloat": NonNegativeFloat,
    "PositiveInt": PositiveInt,
    "Rate": Rate,
    "Share": Share,
    "LossRate": LossRate,
    "LossSpec": LossSpec,
    "Literal": Literal,
    "float": Finite,
    "int": Whole,
    "bool": bool,
    "str": str,
}
