"""Whole dialects, on each engine."""

from __future__ import annotations

import pytest


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.services)])
def sqlite_url(request: pytest.FixtureRequest, sqlite_url: str) -> str:
    """The database of the settings: each engine in turn."""
    if request.param == "sqlite":
        return sqlite_url
    url: str = request.getfixturevalue("postgres_url")
    return url
