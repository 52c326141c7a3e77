"""The links of every page, of the settings and of a project; each is shown to who may follow it."""

from __future__ import annotations

from towline.frozen import frozen
from towline_server.auth.roles import Role


@frozen(kw_only=True)
class PageLink:
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
    PageLink(label="Projects", address="/"),
    PageLink(label="Runs", address="/ui/runs"),
    PageLink(label="API", address="/docs"),
)
SETTINGS = (
    PageLink(label="Connections", address="/ui/connections", needed=Role.READER),
    PageLink(label="Webhooks", address="/ui/webhooks", needed=Role.ADMIN),
    PageLink(label="People", address="/ui/people", needed=Role.ADMIN),
    PageLink(label="API keys", address="/ui/keys", needed=Role.ADMIN),
    PageLink(label="Audit log", address="/ui/audit", needed=Role.ADMIN),
)
"""What is set up for the whole tenant."""
TABS = (
    PageLink(label="Assets", address=""),
    PageLink(label="Conflicts", address="/conflicts"),
    PageLink(label="Plans", address="/plans"),
    PageLink(label="Runs", address="/runs"),
    PageLink(label="History", address="/history"),
    PageLink(label="Schedules", address="/schedules"),
    PageLink(label="Settings", address="/settings", needed=Role.ADMIN),
)
