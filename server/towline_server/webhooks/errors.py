"""What can go wrong with webhooks as such."""

from __future__ import annotations

from dataclasses import dataclass

from towline.errors import MovedError


@dataclass(eq=False)
class WebhookDisabled(MovedError):
    """Something shall be sent to an endpoint that is disabled."""

    code = "webhook_disabled"

    @property
    def message(self) -> str:
        """What to do."""
        return "the webhook is disabled; enable it first"


@dataclass(eq=False, kw_only=True)
class TooManyWebhooks(MovedError):
    """The tenant has as many endpoints as it may."""

    code = "too_many_webhooks"
    allowed: int

    @property
    def message(self) -> str:
        """The bound."""
        return f"there are {self.allowed} webhooks already; delete one first"
