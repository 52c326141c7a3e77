"""Syncs (``/api/v1/syncs``): named definitions of pulls, their runs, and what can be pulled."""

from .routes import DIALECT

__all__ = ["DIALECT"]
