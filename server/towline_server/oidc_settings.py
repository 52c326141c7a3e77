"""The settings of signing in through an OpenID Connect provider."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, SecretStr


class OidcSettings(BaseModel):
    """The provider that people may sign in to the page with, and this server as its client."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    issuer: str = ""
    """The provider's issuer, exactly as in its discovery document; empty: no single sign-on."""
    client_id: str = ""
    """This server's client id; its redirect URI is ``/ui/sign-in/oidc/callback``."""
    client_secret: SecretStr = SecretStr("")
    """The client's secret; empty: a public client."""
    name: str = "single sign-on"
    """What the sign-in page calls the provider."""

    @property
    def problems(self) -> tuple[str, ...]:
        """What contradicts itself, as `towline_server.settings` lists it."""
        return (
            ("oidc.client_id: needed with oidc.issuer",)
            if self.issuer and not self.client_id
            else ()
        )
