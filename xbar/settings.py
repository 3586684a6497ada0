"""The base of every value that can be written in a YAML file: frozen, and strict about its keys."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler, SerializationInfo, ValidationError
from pydantic_core import CoreSchema, InitErrorDetails, PydanticCustomError, core_schema


class Settings(BaseModel):
    """Frozen, comparable, no unknown keys, no NaN or infinity."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, validate_default=True)


class ByKind:
    """Marks a field whose class depends on the value of `kind` in its data: `adc: Annotated[Adc, ByKind(choose)]`.

    `choose` gets the data (a mapping) and returns the Settings class to validate it with; it may raise `problems`.
    An instance that `choose` would return is taken as it is.
    """

    def __init__(self, family: type[Settings], choose: Callable[[Mapping[str, Any]], type[Settings]]) -> None:
        self.family = family
        self.choose = choose

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            self._validate,
            serialization=core_schema.plain_serializer_function_ser_schema(_dump, info_arg=True),
        )

    def _validate(self, data: Any) -> Settings:
        if isinstance(data, self.family):
            return data
        if not isinstance(data, Mapping):
            raise ValueError("must be a section with a `kind`, for example {kind: ...}")
        return self.choose(data).model_validate(data)


def _dump(value: Settings, info: SerializationInfo) -> dict[str, Any]:
    return value.model_dump(mode=info.mode)


def problems(title: str, found: Iterable[tuple[tuple[str | int, ...], str, Any]]) -> ValidationError:
    """An error that pydantic passes on with its places: each problem is (place within the value, rule, value)."""
    details = [
        InitErrorDetails(type=PydanticCustomError("rule", "{text}", {"text": text}), loc=place, input=value)
        for place, text, value in found
    ]
    return ValidationError.from_exception_data(title, details)
