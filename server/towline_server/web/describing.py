"""What the OpenAPI document leaves out."""

from __future__ import annotations

from typing import Any

_FASTAPIS = ("HTTPValidationError", "ValidationError")
"""The schemas of FastAPI's own answer to what is malformed."""


def without_foreign_answers(document: dict[str, Any]) -> None:
    """Take FastAPI's own 422 out of a document: no dialect answers it."""
    foreign = {"$ref": f"#/components/schemas/{_FASTAPIS[0]}"}
    for operations in document["paths"].values():
        for operation in operations.values():
            said = operation["responses"].get("422", {}).get("content", {})
            if said.get("application/json", {}).get("schema") == foreign:
                del operation["responses"]["422"]
    for name in _FASTAPIS:
        document["components"]["schemas"].pop(name, None)
