"""Kinds of values that several families of surfaces take."""

from typing import Annotated, TypeAlias

from msgspec import Meta

Name: TypeAlias = Annotated[
    str, Meta(min_length=1, max_length=512, description="provider/model, an alias, a group, or a bare name")
]
Positive: TypeAlias = Annotated[int, Meta(ge=1, le=100_000_000)]
Temperature: TypeAlias = Annotated[float, Meta(ge=0, le=2)]
