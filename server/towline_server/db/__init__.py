"""The database's ground floor: column types, engine, sessions, migrations. It knows no domain."""

from .base import Base
from .engine import make_engine
from .migrate import is_current, upgrade
from .session import Database

__all__ = ["Base", "Database", "is_current", "make_engine", "upgrade"]
