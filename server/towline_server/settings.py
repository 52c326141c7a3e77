"""The settings: environment variables ``TOWLINE_*`` over a TOML file over the defaults.

Every field ``name`` is ``TOWLINE_NAME`` and the key ``name`` of the file that ``TOWLINE_SETTINGS``
names. Settings that contradict each other are refused at start, all at once.
"""

from __future__ import annotations

import os
import ssl
import tomllib
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_core import ErrorDetails
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from towline.errors import InvalidValue
from towline.limits import MIB, Limits
from towline.remotes.url import Scheme

from .errors import InvalidSettings
from .oidc_settings import OidcSettings
from .orchestrator_settings import PrefectSettings, TemporalSettings

FILE_VARIABLE = "TOWLINE_SETTINGS"
LEAST_SECRET = 32
"""Characters below which a secret is refused: HS256 wants 256 bits (RFC 7518, 3.2)."""

StringList = Annotated[tuple[str, ...], NoDecode]


class Settings(BaseSettings):
    """The control plane's settings, checked against each other."""

    model_config = SettingsConfigDict(
        env_prefix="TOWLINE_",
        env_nested_delimiter="__",
        env_ignore_empty=True,
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,  # the input may be a secret
    )

    # --- where things are ---
    data_dir: Path = Path("towline-data")
    """The folder of the SQLite database, its secret key and the Git cache."""
    database_url: str = ""
    """A SQLAlchemy URL; empty: an SQLite file in ``data_dir``."""
    host: str = "127.0.0.1"
    """The address to listen on."""
    port: int = Field(default=8080, ge=0, le=65535)
    """The port to listen on; 0: any free one."""
    trusted_proxies: StringList = ()
    """Addresses of proxies whose X-Forwarded-For is trusted."""

    # --- secrets ---
    secret_keys: Annotated[tuple[SecretStr, ...], NoDecode] = ()
    """Keys for stored credentials: the first encrypts, all decrypt; empty: one in ``data_dir``."""
    jwt_issuer: str = ""
    """The ``iss`` that a token must have."""
    jwt_audience: str = ""
    """The ``aud`` that a token must have."""
    jwt_hs256_secret: SecretStr = SecretStr("")
    """The secret that verifies tokens signed with HS256."""
    jwt_jwks_url: str = ""
    """The URL of the keys that verify tokens signed with RS256."""
    jwt_jwks_file: Path | None = None
    """A file with these keys instead."""
    jwt_leeway_seconds: int = Field(default=10, ge=0, le=120)
    """How far the issuer's clock may be off."""
    operator_token: SecretStr = SecretStr("")
    """The Bearer token that administers every tenant, under /api/towline/v1/admin; empty: none."""

    # --- remotes ---
    remote_schemes: Annotated[frozenset[Scheme], NoDecode] = frozenset({Scheme.HTTPS})
    """Schemes that repositories and sources may have: https, http, ssh, file, sftp, postgresql."""
    remote_networks: StringList = ()
    """Non-public networks that repositories may be in, such as ``10.0.0.0/8``."""
    remote_ca_file: Path | None = None
    """Certificate authorities (PEM) for repositories' servers, instead of this machine's."""
    webhook_schemes: Annotated[frozenset[Scheme], NoDecode] = frozenset({Scheme.HTTPS})
    """Schemes that outbound webhooks may have: https, http."""
    webhook_networks: StringList = ()
    """Non-public networks that outbound webhooks may go to, such as ``10.0.0.0/8``."""
    webhook_days: int = Field(default=30, ge=7)
    """How long messages to webhooks are stored, delivered or not."""
    cache_days: int = Field(default=30, ge=1)
    """How long a fetched repository that nothing reads is stored on this machine."""
    limits: dict[str, int] = Field(default_factory=dict)
    """Overrides of `towline.limits.Limits`, by name."""

    # --- requests ---
    body_bytes: int = Field(default=MIB, ge=1024)
    """The largest request body, except that of a PUT (an asset's bytes)."""
    asset_body_bytes: int = Field(default=5 * MIB, ge=1024)
    """The largest body of a PUT."""
    hook_body_bytes: int = Field(default=25 * MIB, ge=1024)
    """The largest push webhook of a Git host; GitHub and Bitbucket send up to 25 MiB."""
    work_body_bytes: int = Field(default=16 * MIB, ge=1024)
    """The largest plan, with its contents, that an external executor submits."""
    header_seconds: int = Field(default=20, ge=1)
    """How long a connection may take to send a request's headers."""
    body_seconds: int = Field(default=120, ge=1)
    """How long a request's body may take after its headers."""
    connections_at_once: int = Field(default=1000, ge=1)
    """Open connections; fewer if the limit of file descriptors is low."""
    address_connections_at_once: int = Field(default=250, ge=1)
    """Open connections from one address (in IPv6 a /64), except from trusted proxies."""
    rate_per_second: float = Field(default=50.0, ge=0)
    """Sustained rate of requests with one credential; 0: no limit."""
    rate_burst: int = Field(default=200, ge=1)
    """How many of these requests may come at once."""
    address_rate_per_second: float = Field(default=200.0, ge=0)
    """The same from one address, with any credentials; 0: no limit."""
    address_rate_burst: int = Field(default=1000, ge=1)
    """How many of these requests may come at once."""
    login_failures: int = Field(default=10, ge=1)
    """Wrong passwords for an account from one address within the window; ten times that in all."""
    login_window_seconds: int = Field(default=300, ge=1)
    """The window of ``login_failures``."""
    password_cache_seconds: int = Field(default=60, ge=0, le=600)
    """How long a verified password is accepted without verifying it again."""
    session_seconds: int = Field(default=43_200, ge=60, le=2_592_000)
    """How long a browser stays signed in."""
    idempotency_hours: int = Field(default=24, ge=1)
    """How long the answer to an Idempotency-Key is stored."""
    wait_seconds: int = Field(default=100, ge=1)
    """How long a synchronous dialect waits for its run before it answers 504."""

    # --- runs ---
    workers: int = Field(default=0, ge=0, le=64)
    """Processes that a server starts to execute its runs; 0: it executes them itself."""
    heartbeat_seconds: int = Field(default=10, ge=1)
    """How often an executor renews its leases; at most a third of ``lease_seconds``."""
    lease_seconds: int = Field(default=60, ge=2)
    """How long a lease lasts without renewal; after that its executor loses the run."""
    runs_at_once: int = Field(default=8, ge=1, le=64)
    """How many runs a process executes at once, at most one for each project."""
    tenant_runs_at_once: int = Field(default=0, ge=0)
    """How many of those runs may be one tenant's; 0: half."""
    host_runs_at_once: int = Field(default=0, ge=0)
    """How many of those runs may be of repositories on one host; 0: three quarters."""
    tenant_queue: int = Field(default=5_000, ge=1)
    """How many runs of one tenant may wait; further requests get a 429."""
    fetches_at_once: int = Field(default=4, ge=1, le=64)
    """How many repositories a process fetches at once."""
    tenant_fetches_at_once: int = Field(default=0, ge=0)
    """How many of those fetches may be one tenant's; 0: half."""
    host_fetches_at_once: int = Field(default=0, ge=0)
    """How many of those fetches may be from one host; 0: three quarters."""
    max_auto_resume_attempts: int = Field(default=3, ge=0)
    """How often a run that was lost or failed temporarily is retried automatically."""
    retry_seconds: float = Field(default=10, gt=0)
    """How long the first retry of a failed run waits; each later one waits four times as long."""
    claim_seconds: int = Field(default=3600, ge=1)
    """How long a run waits for an external executor to claim it before it fails."""
    run_days: int = Field(default=90, ge=1)
    """How long a run that has ended is stored, with its report; the last of each sort stays."""
    plan_days: int = Field(default=7, ge=1)
    """How long a stored plan waits to be applied."""
    audit_days: int = Field(default=365, ge=30)
    """How long an event of the audit log is stored."""
    pull_days: int = Field(default=365, ge=1)
    """How long the report of a pull that can no longer be undone is stored."""
    event_days: int = Field(default=30, ge=1)
    """How long an event (an asset's change, appended by a sync) is stored, with both contents."""
    shutdown_seconds: int = Field(default=20, ge=0)
    """How long requests may take to end when the server stops, before it hands its runs back."""

    # --- orchestrators ---
    oidc: OidcSettings = OidcSettings()
    """The OpenID Connect provider that people may sign in to the page with."""
    temporal: TemporalSettings = TemporalSettings()
    """Temporal, for runs of the backend ``temporal``."""
    prefect: PrefectSettings = PrefectSettings()
    """Prefect, for runs of the backend ``prefect``."""

    # --- logs and metrics ---
    log_level: str = Field(default="info", pattern="^(debug|info|warning|error)$")
    """The lowest level that is logged: debug, info, warning or error."""
    metrics_token: SecretStr = SecretStr("")
    """The Bearer token that /metrics requires; empty: only clients on this machine may read it."""

    @field_validator(
        *("trusted_proxies", "secret_keys", "remote_schemes", "remote_networks"),
        *("webhook_schemes", "webhook_networks"),
        mode="before",
    )
    @classmethod
    def _split(cls, value: object) -> object:
        """An environment variable holds a list with commas between."""
        if isinstance(value, str):
            return [part.strip() for part in value.split(",") if part.strip()]
        return value

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if problems := tuple(self._contradictions()):
            raise InvalidSettings(problems=problems)
        return self

    def _contradictions(self) -> Iterator[str]:
        yield from self._database_problems()
        yield from self._token_problems()
        yield from self._limit_problems()
        yield from self._remote_problems()
        yield from (*self.temporal.problems, *self.prefect.problems, *self.oidc.problems)
        if self.oidc.issuer and not _is_safe_url(self.oidc.issuer):
            yield "oidc.issuer: must be https, or http on a loopback host"
        if any(len(key.get_secret_value()) < LEAST_SECRET for key in self.secret_keys):
            yield f"secret_keys: each needs at least {LEAST_SECRET} characters"
        operator_token = self.operator_token.get_secret_value()
        if operator_token and len(operator_token) < LEAST_SECRET:
            yield f"operator_token: needs at least {LEAST_SECRET} characters"
        if self.lease_seconds < 3 * self.heartbeat_seconds:
            # One heartbeat may be missed, and the next one may be late.
            yield "lease_seconds: below three times heartbeat_seconds, a lease could lapse alive"
        if not self.webhook_schemes <= {Scheme.HTTPS, Scheme.HTTP}:
            yield "webhook_schemes: can only be https and http"

    def _database_problems(self) -> Iterator[str]:
        scheme = self.database.partition(":")[0].partition("+")[0]
        if scheme not in ("sqlite", "postgresql"):
            yield "database_url: must start with sqlite: or postgresql:"
        if scheme == "sqlite" and self.database.partition("//")[2] in ("", "/", "/:memory:"):
            yield "database_url: an SQLite database in memory is lost, and not shared by threads"
        if scheme != "sqlite" and not self.secret_keys:
            yield "secret_keys: needed with a database_url that other servers can share"

    def _token_problems(self) -> Iterator[str]:
        sources = {
            "jwt_hs256_secret": bool(self.jwt_hs256_secret.get_secret_value()),
            "jwt_jwks_url": bool(self.jwt_jwks_url),
            "jwt_jwks_file": self.jwt_jwks_file is not None,
        }
        given = [name for name, there in sources.items() if there]
        if len(given) > 1:
            yield f"{given[0]}: excludes {', '.join(given[1:])}; tokens are verified in one way"
        for field, value in (("jwt_issuer", self.jwt_issuer), ("jwt_audience", self.jwt_audience)):
            if given and not value:
                yield f"{field}: needed with {given[0]}"
            if value and not given:
                yield f"{field}: needs one of {', '.join(sources)}"
        secret = self.jwt_hs256_secret.get_secret_value()
        if secret and len(secret.encode()) < LEAST_SECRET:
            yield f"jwt_hs256_secret: needs at least {LEAST_SECRET} bytes"
        if self.jwt_jwks_url and not _is_safe_url(self.jwt_jwks_url):
            yield "jwt_jwks_url: must be https, or http on a loopback host"

    def _remote_problems(self) -> Iterator[str]:
        if Scheme.FILE in self.remote_schemes and not is_loopback(self.host):
            yield "remote_schemes: file is for a server that listens on a loopback host alone"
        if (file := self.remote_ca_file) is not None:
            try:
                ssl.create_default_context(cafile=file)
            except OSError as error:
                yield f"remote_ca_file: {file} holds no certificates that can be read ({error})"

    def _limit_problems(self) -> Iterator[str]:
        try:
            limits = self.engine_limits
        except InvalidValue as error:
            yield f"limits: {error.message}"
            return
        if self.asset_body_bytes < limits.asset_bytes:
            yield "asset_body_bytes: below limits.asset_bytes, so no such asset could be written"

    @property
    def database(self) -> str:
        """The database's URL."""
        return self.database_url or f"sqlite:///{self.data_dir / 'towline.db'}"

    @property
    def is_embedded(self) -> bool:
        """Whether the database is an SQLite file, so that this server is the only one."""
        return self.database.startswith("sqlite")

    @property
    def idle_seconds(self) -> float:
        """After how long an idle transaction is ended, with the locks that it holds.

        The process that stopped in it has a lease, of which a third passes well before it lapses.
        """
        return self.lease_seconds / 3

    @property
    def cache_dir(self) -> Path:
        """Where fetched repositories are stored."""
        return self.data_dir / "cache"

    @property
    def secret_key_file(self) -> Path:
        """Holds the secret key where ``secret_keys`` is empty; made at the first start."""
        return self.data_dir / "secret.key"

    @property
    def engine_limits(self) -> Limits:
        """The library's limits, with a server's total time."""
        overrides = [f"{name}={value}" for name, value in self.limits.items()]
        return Limits(total_seconds=60).with_settings(overrides)

    @classmethod
    def defaults(cls) -> Settings:
        """Return the defaults alone, without the environment and the file."""
        return cls.model_construct()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        *_: Any,
        **__: Any,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Return what is given in code, the environment, and the file (see `load_settings`)."""
        from_file = InitSettingsSource(settings_cls, cls._file_values())
        return init_settings, env_settings, from_file

    @classmethod
    def _file_values(cls) -> dict[str, Any]:
        return {}


def load_settings(file: Path | None = None, **given: Any) -> Settings:
    """Return the settings of this process: ``given`` over the environment over the file.

    Raises:
        InvalidSettings: the file cannot be read, or a setting is malformed or contradicts another.
    """
    named = os.environ.get(FILE_VARIABLE)
    path = file or (Path(named) if named else None)
    values = _read(path) if path else {}

    class Loaded(Settings):
        @classmethod
        def _file_values(cls) -> dict[str, Any]:
            return values

    try:
        loaded = Loaded(**given)
    except ValidationError as error:
        raise InvalidSettings(problems=_problems(error)) from None
    return loaded


def _read(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        problem = f"{file}: cannot be read ({type(error).__name__})"
    except tomllib.TOMLDecodeError as error:
        problem = f"{file}: is not valid TOML ({error})"
    raise InvalidSettings(problems=(problem,))


def _problems(error: ValidationError) -> tuple[str, ...]:
    return tuple(
        f"{'.'.join(str(part) for part in problem['loc'])}: {_problem(problem)}"
        for problem in error.errors(include_url=False, include_context=False, include_input=False)
    )


def _problem(problem: ErrorDetails) -> str:
    if problem["type"] == "extra_forbidden":
        return "unknown setting (docs/operations.md lists them)"
    return problem["msg"]


def is_loopback(host: str) -> bool:
    """Whether a host's name or address can only be this machine."""
    if host == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _is_safe_url(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname or ""))
