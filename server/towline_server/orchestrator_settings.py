"""The settings of the orchestrators that may execute runs, each a table of its own."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr


class TemporalSettings(BaseModel):
    """Where Temporal is, and what of it is for runs."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    address: str = ""
    """``host:port`` of Temporal's frontend; required for runs of the backend temporal."""
    namespace: str = "default"
    """The namespace in Temporal."""
    task_queue: str = "towline"
    """The task queue of this deployment's workers; each deployment has its own."""
    ui_url: str = ""
    """The address of Temporal's web UI, for links to runs."""
    tls: bool = False
    """Encrypt the connection; implied by the files below and by ``api_key``."""
    tls_ca_file: Path | None = None
    """Certificate authorities (PEM) for the server, instead of this machine's."""
    tls_cert_file: Path | None = None
    """This client's certificate (PEM)."""
    tls_key_file: Path | None = None
    """The certificate's private key (PEM)."""
    api_key: SecretStr = SecretStr("")
    """A key of Temporal Cloud."""
    waiting_at_once: int = Field(default=200, ge=1)
    """How many runs may wait there at once; the others wait in the database."""

    @property
    def problems(self) -> tuple[str, ...]:
        """What contradicts itself, as `towline_server.settings` lists it."""
        found = []
        if (self.tls_cert_file is None) != (self.tls_key_file is None):
            found.append("temporal.tls_cert_file: needs tls_key_file, and that needs it")
        files = (self.tls_ca_file, self.tls_cert_file, self.tls_key_file)
        found += [
            f"temporal: {file} is not a file" for file in files if file and not file.is_file()
        ]
        return tuple(found)


class PrefectSettings(BaseModel):
    """Where Prefect is, and what of it is for runs."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    api_url: str = ""
    """Prefect's API, such as ``http://host:4200/api``; required for runs of the backend prefect."""
    api_key: SecretStr = SecretStr("")
    """A key of Prefect Cloud."""
    auth_string: SecretStr = SecretStr("")
    """``user:password`` for a Prefect server that requires them."""
    work_pool: str = Field(default="towline", min_length=1)
    """The work pool whose workers execute runs; if missing, a process pool is created."""
    deployment: str = Field(default="towline", min_length=1)
    """The deployment of the flow ``towline``; each installation of towline has its own."""
    command: str = Field(default="towline work", min_length=1)
    """What a worker executes, before ``--backend prefect RUN``."""
    pending_seconds: int = Field(default=600, ge=1)
    """How long a worker may take to start the command before its run is attempted again."""
    ui_url: str = ""
    """The address of Prefect's web UI, for links to runs; empty: derived from ``api_url``."""
    waiting_at_once: int = Field(default=200, ge=1)
    """How many runs may wait there at once; the others wait in the database."""

    @property
    def problems(self) -> tuple[str, ...]:
        """What contradicts itself, as `towline_server.settings` lists it."""
        found = []
        parts = urlsplit(self.api_url)
        if self.api_url and (parts.scheme not in ("http", "https") or not parts.hostname):
            found.append("prefect.api_url: must start with http:// or https://")
        if parts.username or parts.password:
            found.append("prefect.api_url: give the password as prefect.auth_string")
        if self.api_key.get_secret_value() and self.auth_string.get_secret_value():
            found.append("prefect.api_key: excludes auth_string; one of them is sent")
        return tuple(found)
