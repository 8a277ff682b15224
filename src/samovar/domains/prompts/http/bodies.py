"""The bodies of writes, with the bounds that the description gives. The service checks them once more, for everybody."""

from typing import Annotated, Any, Final, Literal

from msgspec import UNSET
from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictFloat, StrictInt, StrictStr, model_validator

from samovar.domains.prompts.model import (
    DEFAULT_LANG,
    LABEL_PATTERN,
    LANG_PATTERN,
    MAX_LABELS,
    MAX_NAME_CHARS,
    MAX_NAMESPACE_CHARS,
    MAX_PRIORITY,
    MAX_TAG_CHARS,
    MAX_TAGS,
    MAX_TEXT_CHARS,
    MAX_VARIABLES,
    MAX_VERSION,
    Draft,
    PromptChange,
    Variable,
    VariableType,
)
from samovar.domains.prompts.service import Pointing

_NAMING: Final = " No control characters, '/' or '\\'; neither begins with '.' nor begins or ends with a blank."

Text = Annotated[
    str,
    Field(
        min_length=1,
        max_length=MAX_TEXT_CHARS,
        description="Characters are counted as Unicode's code points. `{{name}}` is a variable, `{{{{` stands for two braces.",
        examples=["Describe the picture in {{style}} style."],
    ),
]
Namespace = Annotated[
    str,
    Field(
        min_length=1, max_length=MAX_NAMESPACE_CHARS, description="A group of prompts." + _NAMING, examples=["default"]
    ),
]
Name = Annotated[
    str,
    Field(min_length=1, max_length=MAX_NAME_CHARS, description="What it is called." + _NAMING, examples=["describe"]),
]
Lang = Annotated[str, Field(pattern=LANG_PATTERN, description="A language tag.", examples=["ru"])]
Version = Annotated[int, Field(ge=1, le=MAX_VERSION)]
Tags = Annotated[
    tuple[Annotated[str, Field(min_length=1, max_length=MAX_TAG_CHARS)], ...],
    Field(max_length=MAX_TAGS, description="Each once." + _NAMING, examples=[["vision"]]),
]
Priority = Annotated[
    int, Field(ge=-MAX_PRIORITY, le=MAX_PRIORITY, description="Lists begin with the lowest.", examples=[10])
]
Labels = Annotated[
    tuple[Annotated[str, Field(pattern=LABEL_PATTERN)], ...],
    Field(max_length=MAX_LABELS, description="Labels of the prompt that move to this version.", examples=[["staging"]]),
]
MakeDefault = Annotated[bool, Field(description="Make it the default of its namespace and language.")]


class VariableBody(BaseModel):
    """A declared variable. Without a default it must be given; `options` are an enum's."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, Field(min_length=1, max_length=64, description="A letter or '_', then letters, digits, '_'.")]
    type: Literal["string", "number", "integer", "boolean", "enum"] = "string"
    default: Annotated[StrictBool | StrictInt | StrictFloat | StrictStr | None, Field(union_mode="left_to_right")] = (
        None
    )
    options: Annotated[tuple[Annotated[str, Field(min_length=1, max_length=200)], ...], Field(max_length=100)] = ()
    description: Annotated[str, Field(max_length=500)] = ""

    def variable(self) -> Variable:
        """As the rules know it."""
        return Variable(
            name=self.name,
            type=VariableType(self.type),
            default=self.default,
            options=self.options,
            description=self.description,
        )


Variables = Annotated[tuple[VariableBody, ...], Field(max_length=MAX_VARIABLES)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _without_id(cls, data: Any) -> Any:
        if isinstance(data, dict) and "id" in data:
            raise ValueError("id: ids are given out here and never set or changed; leave it out")
        return data


class NewPrompt(_Body):
    """A version of a prompt; without `version` the next one."""

    namespace: Namespace
    name: Name
    text: Text
    lang: Lang = DEFAULT_LANG
    version: Version | None = None
    tags: Tags = ()
    priority: Priority = 0
    is_active: bool = True
    variables: Variables = ()
    labels: Labels = ()
    make_default: MakeDefault = False

    def draft(self) -> Draft:
        """As the rules know it."""
        return Draft(
            namespace=self.namespace,
            name=self.name,
            text=self.text,
            lang=self.lang,
            version=self.version,
            tags=self.tags,
            priority=self.priority,
            is_active=self.is_active,
            variables=tuple(variable.variable() for variable in self.variables),
            labels=self.labels,
            make_default=self.make_default,
        )


class _Content(_Body):
    text: Text | None = None
    tags: Tags | None = None
    priority: Priority | None = None
    is_active: bool | None = None
    variables: Variables | None = None

    def _changed(self) -> dict[str, Any]:
        named = {name: getattr(self, name) for name in ("text", "tags", "priority", "is_active")}
        if self.variables is not None:
            named["variables"] = tuple(variable.variable() for variable in self.variables)
        return {name: UNSET if value is None else value for name, value in named.items()}


class PromptPut(_Content):
    """What changes; what is left out or null stays. Namespace, name, language and version are what the version is: they may
    be sent as they are, and not changed."""

    namespace: Namespace | None = None
    name: Name | None = None
    lang: Lang | None = None
    version: Version | None = None

    def change(self) -> PromptChange:
        """As the rules know it."""
        place = {name: getattr(self, name) for name in ("namespace", "name", "lang", "version")}
        fixed = {name: UNSET if value is None else value for name, value in place.items()}
        return PromptChange(**fixed, **self._changed())


class NewVersion(_Content):
    """What is different in the next version; what is left out or null is as in this one. It is active unless it says
    otherwise."""

    labels: Labels = ()
    make_default: MakeDefault = False

    def change(self) -> PromptChange:
        """As the rules know it."""
        return PromptChange(**self._changed())

    def pointing(self) -> Pointing:
        """What shall point to it."""
        return Pointing(labels=self.labels, make_default=self.make_default)


class RestoreOrder(BaseModel):
    """Which former text."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    revision: Annotated[int, Field(ge=1, le=2**31 - 1, description="One of the prompt's history.")]


class RenderOrder(BaseModel):
    """Values for variables."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    variables: Annotated[
        dict[
            Annotated[str, Field(max_length=64)],
            Annotated[StrictBool | StrictInt | StrictFloat | StrictStr, Field(union_mode="left_to_right")],
        ],
        Field(max_length=MAX_VARIABLES, description="By name.", examples=[{"style": "plain"}]),
    ] = {}
