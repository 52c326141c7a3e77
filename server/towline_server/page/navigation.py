"""The links of every page, of the settings and of a project; each is shown to who may follow it."""

from __future__ import annotations

from dataclasses import dataclass

from towline_server.auth.roles import Role


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A link; ``needed`` is a role on the tenant, or of a tab on its project."""

    label: str
    address: str
    """Of a tab, what follows the project's address."""
    needed: Role | None = None
    """None: any caller."""

    def is_for(self, role: Role | None) -> bool:
        """Whether a caller with this role may follow it."""
        return self.needed is None or (role is not None and role.covers(self.needed))


NAVIGATION = (
    Link(label="Projects", address="/"),
    Link(label="Runs", address="/ui/runs"),
    Link(label="API", address="/docs"),
)
SETTINGS = (
    Link(label="Connections", address="/ui/connections", needed=Role.READER),
    Link(label="Webhooks", address="/ui/webhooks", needed=Role.ADMIN),
    Link(label="People", address="/ui/people", needed=Role.ADMIN),
    Link(label="API keys", address="/ui/keys", needed=Role.ADMIN),
    Link(label="Audit log", address="/ui/audit", needed=Role.ADMIN),
)
"""What is set up for the whole tenant."""
TABS = (
    Link(label="Assets", address=""),
    Link(label="Conflicts", address="/conflicts"),
    Link(label="Plans", address="/plans"),
    Link(label="Runs", address="/runs"),
    Link(label="History", address="/history"),
    Link(label="Schedules", address="/schedules"),
    Link(label="Settings", address="/settings", needed=Role.ADMIN),
)
