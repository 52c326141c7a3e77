"""``towline admin``: the group that its parts join."""

from __future__ import annotations

import click

from . import admin_identities as identities
from . import admin_projects as projects
from .backup import backup, transfer


@click.group()
def admin() -> None:
    """Set up tenants, people, keys, connections and projects, right in the database."""


for _group in (
    identities.tenant,
    identities.user,
    identities.service_account,
    identities.key,
    identities.identity,
    identities.role,
    projects.connection,
    projects.project,
    projects.secrets,
    backup,
    transfer,
):
    admin.add_command(_group)
