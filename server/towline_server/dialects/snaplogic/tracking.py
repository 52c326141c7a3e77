"""How a project stands to its repository, and the end of that."""

from __future__ import annotations

from fastapi import APIRouter

router = APIRouter()
