"""Types for constructor signatures of losses and samplers, and for the config.

Any annotation that pydantic knows works in a constructor; these save writing the common ranges.
``strict`` refuses YAML's ``true`` and quoted text where a number belongs.
"""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field


class Section(BaseModel):
    """A part of the config: unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)


def _number(value: Any) -> int | float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("should be a number")
    return value


def _has_type(value: dict) -> dict:
    if not isinstance(value.get("type"), str):
        raise ValueError("should describe a loss: {type: ...}")
    return value


PositiveFloat = Annotated[float, Field(gt=0, allow_inf_nan=False, strict=True)]
NonNegativeFloat = Annotated[float, Field(ge=0, allow_inf_nan=False, strict=True)]
#: A factor in an exponent: far beyond any in use, and far below what float32 rounds away.
Rate = Annotated[float, Field(gt=0, le=1e6, strict=True)]
#: What similarities are divided by before a softmax: float32 holds the exponents.
Temperature = Annotated[float, Field(ge=1e-4, le=1e4, strict=True)]
Share = Annotated[float, Field(ge=0, lt=1, strict=True)]
PositiveInt = Annotated[int, Field(gt=0, strict=True)]
NonNegativeInt = Annotated[int, Field(ge=0, strict=True)]
Seed = Annotated[int, Field(ge=0, lt=2**31, strict=True)]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=48)]
Selection = Literal["last", "val", "test_max"]
Split = Literal["train", "test"]
#: Learning rate of a loss's own parameters; None takes the recipe's.
LossRate = PositiveFloat | None
#: An argument whose default is a number; a whole number stays one.
Number = Annotated[Any, AfterValidator(_number)]
#: A loss inside a loss, described like any entry of ``losses``; passed on as it is described.
LossSpec = Annotated[dict[str, Any], AfterValidator(_has_type)]
