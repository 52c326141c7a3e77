"""Every table of the control plane, in one import: what migrations are compared with.

A module with tables of its own is imported here.
"""

from .audit import tables as _audit
from .auth import tables as _auth
from .db.base import Base
from .dialects.syncs import tables as _syncs
from .projects import asset_tables as _assets
from .projects import connection_tables as _connections
from .projects import tables as _projects
from .runs import schedule_tables as _schedules
from .runs import tables as _runs
from .web import idempotency as _web
from .webhooks import tables as _webhooks

__all__ = ["Base"]

_ = (_assets, _audit, _auth, _connections, _projects, _runs, _schedules, _syncs, _web, _webhooks)
