"""Every table of the control plane, in one import: what migrations are compared with.

A package with tables of its own is imported here.
"""

from .db.base import Base
from .projects import tables as _projects

__all__ = ["Base"]

_ = _projects
