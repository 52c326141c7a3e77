"""The request bodies of the Syncs API, and the domain's values that they are read as."""

from __future__ import annotations

from typing import Annotated, Any, TypeAlias
from uuid import UUID

from pydantic import BaseModel, Field, field_validator
from pydantic.json_schema import SkipJsonSchema

from towline.options import OnConflict
from towline.remotes.windows import MOST_WINDOW
from towline_server.dialects.models import CamelModel
from towline_server.runs.domain import BackendName, RunMode
from towline_server.web.schemas import (
    CRON,
    PLAIN,
    TIME_ZONE,
    WHOLE,
    JsonObject,
    PlainText,
    omittable,
)

from .domain import (
    WINDOW_SIZES,
    Definition,
    ExecutionMode,
    LoadMode,
    SyncStatus,
    TableChoice,
    TriggerMode,
)

_MOST = 2**31 - 1

Name: TypeAlias = Annotated[PlainText, Field(min_length=1, max_length=255)]
Slug: TypeAlias = Annotated[str, Field(max_length=255, pattern=r"^[a-z0-9]+(?:[_-][a-z0-9]+)*$")]
Seconds: TypeAlias = Annotated[int, Field(ge=0, le=_MOST), WHOLE]


def _with_properties(**names: Any) -> Any:
    """Document the names of a JSON object that mean something, and their values."""
    return Field(json_schema_extra={"properties": names})


_OBJECT = {"type": "object", "additionalProperties": False}
_LINE = {"type": ["string", "null"], "pattern": PLAIN}
SourceConfig: TypeAlias = Annotated[JsonObject, _with_properties(ref=_LINE, path=_LINE)]
DestinationConfig: TypeAlias = Annotated[JsonObject, _with_properties(project=_LINE)]
_SIZE = {"type": "integer", "minimum": 1, "maximum": MOST_WINDOW}
_WINDOW = {
    "anyOf": [
        *({**_OBJECT, "required": [name], "properties": {name: _SIZE}} for name in WINDOW_SIZES),
        {"type": "null"},
    ]
}
ExecutionConfig: TypeAlias = Annotated[
    JsonObject,
    _with_properties(on_conflict={"enum": [*map(str, OnConflict), None]}, window=_WINDOW),
]
_NULL = {"type": "null"}
_BY_CRON = {
    "cron": {"type": "string", "format": CRON},
    "timezone": {"anyOf": [{"type": "string", "format": TIME_ZONE}, _NULL]},
    "everySeconds": _NULL,
}
_BY_SECONDS = {
    **_BY_CRON,
    "cron": _NULL,
    "everySeconds": {"type": "integer", "minimum": 1, "maximum": _MOST},
}
_RHYTHMS = [
    {"required": ["cron"], "properties": _BY_CRON},
    {"required": ["everySeconds"], "properties": _BY_SECONDS},
]
Schedule: TypeAlias = Annotated[JsonObject, Field(json_schema_extra={"oneOf": _RHYTHMS})]


class TableBindingIn(CamelModel):
    """The table of one kind, as far as its owner sets it."""

    entity_key: Name
    load_mode: LoadMode = LoadMode.MIRROR
    table_name: Name | None = None
    logical_table_name: Name | None = None
    physical_table_name: Name | None = None
    cursor_field: Name | None = None
    primary_key_columns: Annotated[list[Name], Field(max_length=100)] | None = None
    source_instance_key: Name | None = None

    def choice(self) -> TableChoice:
        """Return the same for the domain."""
        given = self.model_dump(exclude_none=True)
        if self.primary_key_columns is not None:
            given["primary_key_columns"] = tuple(self.primary_key_columns)
        return TableChoice(**given)


class SyncChanges(CamelModel):
    """What may be changed of a sync; null gives a field its default, but for the name."""

    name: Name = omittable()
    slug: Slug | None = None
    status: SyncStatus | None = None
    source_config: SourceConfig | None = None
    destination_config: DestinationConfig | None = None
    execution_config: ExecutionConfig | None = None
    entities: Annotated[list[Name], Field(max_length=1000)] | None = None
    execution_backend: BackendName | None = None
    execution_mode: ExecutionMode | None = None
    trigger_mode: TriggerMode | None = None
    schedule: Schedule | None = None
    freshness_sla_seconds: Seconds | None = None
    table_bindings: Annotated[list[TableBindingIn], Field(max_length=1000)] | None = None
    connection_id: SkipJsonSchema[object] = None
    """Declared so that it is refused."""

    @field_validator("connection_id", mode="before")
    @classmethod
    def _refuse(cls, _value: object) -> object:
        raise ValueError("a sync stays with its connection")

    def changes(self) -> dict[str, Any]:
        """Return the given fields, as `Definition` has them."""
        return _fields(self)


class SyncCreate(CamelModel):
    """A new sync."""

    connection_id: UUID
    name: Name
    slug: Slug | None = None
    status: SyncStatus = SyncStatus.DRAFT
    source_config: SourceConfig = Field(default_factory=dict)
    destination_config: DestinationConfig = Field(
        default_factory=dict,
        description="``project`` names the project, by path or id; other keys are stored.",
    )
    execution_config: ExecutionConfig = Field(
        default_factory=dict,
        description=(
            "``on_conflict`` overrides the project's policy, ``window`` is what one run of "
            "``fan_out_window`` pulls: so many ``commits`` (1), or the commits of so many "
            "``seconds``; other keys are stored."
        ),
    )
    entities: Annotated[list[Name], Field(max_length=1000)] = Field(default_factory=list)
    execution_backend: BackendName = BackendName.NATIVE
    execution_mode: ExecutionMode = ExecutionMode.SEQUENTIAL
    trigger_mode: TriggerMode = TriggerMode.MANUAL
    schedule: Schedule | None = Field(
        default=None, description="``cron`` and ``timezone``, or ``everySeconds``."
    )
    freshness_sla_seconds: Seconds | None = None
    table_bindings: Annotated[list[TableBindingIn], Field(max_length=1000)] = Field(
        default_factory=list
    )

    def definition(self) -> Definition:
        """Return the same for the domain."""
        given = _fields(self)
        del given["connection_id"]
        return Definition(**given)


def _fields(body: BaseModel) -> dict[str, Any]:
    """Return the given fields, as `Definition` has them; null is the default there."""
    defaults = Definition(name="")
    given: dict[str, Any] = {}
    for name in body.model_fields_set:
        value = getattr(body, name)
        if value is None:
            value = getattr(defaults, name)
        elif name == "table_bindings":
            value = tuple(table.choice() for table in value)
        elif name == "entities":
            value = tuple(dict.fromkeys(value))
        given[name] = value
    return given


class TriggerBody(CamelModel):
    """The mode of a run."""

    run_mode: RunMode | None = None


class CancelBody(CamelModel):
    """Why a run is cancelled."""

    reason: Annotated[PlainText, Field(max_length=1000)] | None = None
