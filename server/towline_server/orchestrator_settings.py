"""The settings of the orchestrators that may execute runs, each a table of its own."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, SecretStr


class TemporalSettings(BaseModel):
    """Where Temporal is, and what of it is for runs."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    address: str = ""
    """``host:port`` of Temporal's frontend; runs of the backend temporal need it."""
    namespace: str = "default"
    """Its namespace."""
    task_queue: str = "towline"
    """Where this deployment's workers get their work; each deployment has its own."""
    ui_url: str = ""
    """Where its web pages are, for links to runs."""
    tls: bool = False
    """Encrypt the connection; implied by the files below and by ``api_key``."""
    tls_ca_file: Path | None = None
    """The authorities (PEM) that vouch for the server, instead of this machine's."""
    tls_cert_file: Path | None = None
    """This client's certificate (PEM)."""
    tls_key_file: Path | None = None
    """Its private key (PEM)."""
    api_key: SecretStr = SecretStr("")
    """A key of Temporal Cloud."""
    waiting_at_once: int = Field(default=200, ge=1)
    """How many runs wait there at once; the others wait in the database, in turn."""

    @property
    def problems(self) -> tuple[str, ...]:
        """What contradicts itself, as `towline_server.settings` lists it."""
        found = []
        if (self.tls_cert_file is None) != (self.tls_key_file is None):
            found.append("temporal.tls_cert_file: needs tls_key_file, and that needs it")
        files = (self.tls_ca_file, self.tls_cert_file, self.tls_key_file)
        found += [f"temporal: {file} is no file" for file in files if file and not file.is_file()]
        return tuple(found)
