"""Codat (``/companies``): pull operations of one kind each, by company."""

from .routes import DIALECT

__all__ = ["DIALECT"]
