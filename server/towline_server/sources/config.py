"""What is set of a source beside its address: the form of each sort, and its JSON Schema."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.util import find_spec
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, Literal, Self, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from towline.errors import InvalidValue
from towline.globs import matches_any, pattern
from towline.remotes.url import GIT_SCHEMES, RemoteUrl, Scheme

_LINE = r"^[^\x00-\x1F\x7F]*$"
_POINTER = r"^(/[^\x00-\x1F\x7F]*)?$"
_TABLE = r"^[^\x00-\x1F\x7F.]+(\.[^\x00-\x1F\x7F.]+)?$"
_HOST_KEY = (
    r"^(ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp(256|384|521)) ([A-Za-z0-9+/]{4}){4,}"
    r"([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$"
)
_HEADER = r"^[A-Za-z0-9-]{1,100}$"

Line: TypeAlias = Annotated[str, Field(max_length=255, pattern=_LINE)]
FieldName: TypeAlias = Annotated[str, Field(min_length=1, max_length=255, pattern=_LINE)]
Pointer: TypeAlias = Annotated[str, Field(max_length=1024, pattern=_POINTER)]
Extension: TypeAlias = Annotated[str, Field(max_length=20, pattern=r"^(\.[A-Za-z0-9._-]*)?$")]
Globs: TypeAlias = Annotated[
    list[Annotated[FieldName, Field(json_schema_extra={"format": "glob"})]], Field(max_length=30)
]

_SECRETS = (
    "|".join(
        "".join(f"[{letter.upper()}{letter}]" for letter in word)
        for word in ("token", "secret", "passw", "pwd", "credential", "authorization", "signature")
    )
    + "|[Kk][Ee][Yy]$"
)
"""What the name of a secret has in it; without flags, which a JSON Schema cannot state."""
_PAGES: dict[str, Any] = {
    "if": {"properties": {"paging": {"enum": ["next_url", "cursor"]}}, "required": ["paging"]},
    "then": {
        "properties": {"next_field": {"minLength": 1}, "format": {"const": "json"}},
        "required": ["next_field"],
    },
    "not": {
        "properties": {
            "content_field": {"minLength": 1},
            "content_url_field": {"minLength": 1},
        },
        "required": ["content_field", "content_url_field"],
    },
}
"""What `HttpApiConfig` checks of several fields, as a JSON Schema states it."""


class SourceConfig(BaseModel):
    """What every sort has in common: nothing but that an unknown field is refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    schemes: ClassVar[frozenset[Scheme]] = frozenset({Scheme.HTTPS, Scheme.HTTP})
    """What an address of such a source begins with."""
    library: ClassVar[str] = ""
    """What must be installed beside the server's own."""

    @classmethod
    def address_problem(cls, url: RemoteUrl) -> str | None:  # noqa: ARG003 - for others to use
        """Return why an address of the right scheme is none of such a source, or None."""
        return None

    @classmethod
    def checked(cls, given: Mapping[str, Any]) -> Self:
        """Return the settings of a source.

        Raises:
            InvalidValue: a field is malformed, unknown or missing; it is named.
        """
        try:
            return cls.model_validate(given)
        except ValidationError as error:
            first = error.errors(include_url=False, include_context=False, include_input=False)[0]
            field = ".".join(("config", *map(str, first["loc"])))
            raise InvalidValue(field=field, problem=first["msg"]) from None


class _Files(SourceConfig):
    include: Globs = Field(
        default=[],
        title="Files",
        description="Globs of the files that are read, such as `rules/**`; none: all of them.",
    )

    def includes(self, path: str) -> bool:
        """Whether a file is read."""
        return not self.include or matches_any(self.include, path)

    @field_validator("include")
    @classmethod
    def _are_globs(cls, globs: list[str]) -> list[str]:
        for glob in globs:
            try:
                pattern(glob)
            except InvalidValue as error:
                raise ValueError(error.problem) from None
        return globs


class HttpApiConfig(SourceConfig):
    """A list of objects over HTTP: each is a file."""

    model_config = ConfigDict(json_schema_extra=_PAGES)

    format: Literal["json", "ndjson"] = Field(
        default="json",
        title="Format of the list",
        description="A JSON document, or an object on each line.",
    )
    items: Pointer = Field(
        default="",
        title="Where the list is",
        description="JSON pointer to the array in the document, such as `/data/items`; "
        "empty: the document is the array.",
    )
    id_field: FieldName = Field(
        default="id",
        title="Id",
        description="The field that names the file; slashes in it make folders.",
    )
    extension: Extension = Field(
        default=".json", title="Extension", description="What the file's name ends with."
    )
    content_field: Line = Field(
        default="",
        title="Content",
        description="The field with the file's content: text as it is, anything else as JSON; "
        "empty: the whole object.",
    )
    content_url_field: Line = Field(
        default="",
        title="Address of the content",
        description="The field with the address of the file's content, on the same host.",
    )
    cursor_field: Line = Field(
        default="",
        title="Version",
        description="The field that changes whenever the content does, such as `updated_at`: "
        "content at an address is then read only where it changed.",
    )
    paging: Literal["none", "link", "next_url", "cursor"] = Field(
        default="none",
        title="Paging",
        description="Where the next page is: nowhere, in the Link header, at an address in the "
        "answer, or behind a cursor in the answer.",
    )
    next_field: Pointer = Field(
        default="",
        title="Next page",
        description="JSON pointer to the next page's address or cursor in the answer.",
    )
    cursor_parameter: FieldName = Field(
        default="cursor",
        title="Parameter of the cursor",
        description="The query parameter that takes the cursor.",
    )
    parameters: Annotated[dict[FieldName, Line], Field(max_length=50)] = Field(
        default={},
        title="Query",
        description="Query parameters of the list; none is a secret.",
        json_schema_extra={"propertyNames": {"not": {"pattern": _SECRETS}, "maxLength": 255}},
    )
    token_header: Annotated[str, Field(pattern=_HEADER)] = Field(
        default="Authorization",
        title="Header of the token",
        description="The header that has the token: as `Bearer` in Authorization, bare in others.",
    )

    @field_validator("parameters")
    @classmethod
    def _holds_no_secret(cls, parameters: dict[str, str]) -> dict[str, str]:
        for name in parameters:
            if re.search(_SECRETS, name):
                raise ValueError(f"{name!r} may be a secret: give it as the credential")
        return parameters

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.paging in ("next_url", "cursor") and not self.next_field:
            raise ValueError(f"paging {self.paging} needs next_field")
        if self.paging in ("next_url", "cursor") and self.format == "ndjson":
            raise ValueError(f"paging {self.paging} needs the format json")
        if self.content_field and self.content_url_field:
            raise ValueError("content_field and content_url_field cannot be used together")
        return self


class S3Config(_Files):
    """A prefix of a bucket: each object below it is a file."""

    library: ClassVar[str] = "s3fs"

    region: FieldName = Field(
        default="us-east-1",
        title="Region",
        description="The region that requests are signed for.",
    )

    @classmethod
    def address_problem(cls, url: RemoteUrl) -> str | None:
        """Return what an address lacks."""
        return None if url.path.strip("/") else "has no bucket: https://host/bucket/prefix"


class PostgresConfig(SourceConfig):
    """A table of PostgreSQL: each row is a file."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"table": "public.rules"}]})

    schemes: ClassVar[frozenset[Scheme]] = frozenset({Scheme.POSTGRESQL})

    table: Annotated[str, Field(max_length=200, pattern=_TABLE)] = Field(
        title="Table", description="The table or view, such as `rules` or `public.rules`."
    )
    primary_key: Annotated[list[FieldName], Field(max_length=10)] = Field(
        default=[],
        title="Primary key",
        description="The columns that name the file; none: the primary key of the table. "
        "All but the last make folders.",
    )
    columns: Annotated[list[FieldName], Field(max_length=500)] = Field(
        default=[],
        title="Columns",
        description="What the file has, as JSON; none: every column.",
    )
    content_column: Line = Field(
        default="",
        title="Content",
        description="The column that is the file: text and bytes as they are, anything else as "
        "JSON; empty: the columns.",
    )
    cursor_field: Line = Field(
        default="",
        title="Version",
        description="The column that changes whenever the row does, such as `updated_at`: then "
        "only rows that changed are read.",
    )
    extension: Extension = Field(
        default=".json", title="Extension", description="What the file's name ends with."
    )
    tls: Literal["verify", "off"] = Field(
        default="verify",
        title="TLS",
        description="Whether the server's certificate is verified, or nothing is encrypted.",
    )

    @classmethod
    def address_problem(cls, url: RemoteUrl) -> str | None:
        """Return what an address lacks."""
        database = url.path.strip("/")
        is_one = database and "/" not in database
        return None if is_one else "has no database: postgresql://host/database"


class SftpConfig(_Files):
    """A folder of an SFTP server: each plain file below it is a file."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"host_key": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA=="}]}
    )
    schemes: ClassVar[frozenset[Scheme]] = frozenset({Scheme.SFTP})
    library: ClassVar[str] = "paramiko"

    host_key: Annotated[str, Field(max_length=2000, pattern=_HOST_KEY)] = Field(
        title="Host key",
        description="The server's public key, as `ssh-keyscan` shows it behind the host: its type "
        "and the key. A server with another one is refused.",
    )


SOURCES: Mapping[str, type[SourceConfig]] = MappingProxyType(
    {"http_api": HttpApiConfig, "s3": S3Config, "postgres": PostgresConfig, "sftp": SftpConfig}
)
"""The form of each sort of source, by provider."""


def check_config(provider: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is stored of the settings of a source; a Git host has none.

    Raises:
        InvalidValue: they are not of the provider's form.
    """
    form = SOURCES.get(provider)
    if form is not None:
        if form.library and find_spec(form.library) is None:
            problem = f"{provider} needs the extra `sources` on this server, which is not installed"
            raise InvalidValue(field="provider", problem=problem)
        return form.checked(given).model_dump(mode="json")
    if given:
        raise InvalidValue(field="config", problem="a Git host takes none")
    return {}


def check_address(provider: str, url: RemoteUrl) -> None:
    """Refuse an address that no connection of a provider has.

    Raises:
        InvalidValue: its scheme is another provider's, or a part of it is missing.
    """
    form = SOURCES.get(provider)
    schemes = GIT_SCHEMES if form is None else form.schemes
    if url.scheme not in schemes:
        known = " or ".join(each for each in Scheme if each in schemes)
        raise InvalidValue(field="url", problem=f"{provider} has addresses of {known}")
    if form is not None and (problem := form.address_problem(url)):
        raise InvalidValue(field="url", problem=problem)


def config_schema(provider: str) -> dict[str, Any]:
    """Return the JSON Schema of the settings of a source."""
    schema = SOURCES[provider].model_json_schema()
    return {"title": "Settings", **schema, "description": SOURCES[provider].__doc__}
