"""Call every operation of a dialect, validate each answer, and report what no answer showed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from fastapi.testclient import TestClient

from tests.server.dialects.page_schema import PageSchema

Answers: TypeAlias = Mapping[str, Mapping[int, str | None]]
"""The definition that each status of an operation answers with; None: nothing at all."""

JSON = "application/json"


@dataclass
class ProductClient:
    """One client's way through the operations of a dialect."""

    client: TestClient
    schema: PageSchema
    tag: str
    answers: Answers
    headers: Mapping[str, str] = field(default_factory=dict)
    errors_are: str = JSON
    """The media type of errors."""
    answered: set[tuple[str, int]] = field(default_factory=set)

    def __post_init__(self) -> None:
        paths: Mapping[str, Any] = self.client.get("/openapi.json").json()["paths"]
        self._operations = {
            f"{method.upper()} {path}"
            for path, methods in paths.items()
            for method, operation in methods.items()
            if self.tag in operation["tags"]
        }

    def ask(
        self,
        method: str,
        path: str,
        status: int = 200,
        client: TestClient | None = None,
        **how: Any,
    ) -> Any:
        """Return the body of the answer, validated by the schema of its expected status."""
        how["headers"] = {**self.headers, **how.get("headers", {})}
        answer = (client or self.client).request(method, path, **how)
        assert answer.status_code == status, (method, path, answer.text)
        operation = self._operation(method, path.split("?", maxsplit=1)[0])
        definition = self.answers[operation][status]
        self.answered.add((operation, status))
        if definition is None:
            assert answer.content == b""
            return None
        assert answer.headers["content-type"] == (self.errors_are if status >= 400 else JSON)
        body = answer.json()
        self.schema.check(definition, body)
        return body

    def lacking(self, impossible: Mapping[str, str] | None = None) -> list[str]:
        """The operations, statuses, and places and words in answers that were not shown yet.

        ``impossible``: what no answer can show here, as ``place: word``, and why. It is listed if
        one did.
        """
        every = {(each, status) for each, known in self.answers.items() for status in known}
        definitions = {one for known in self.answers.values() for one in known.values() if one}
        never = set(impossible or {})
        # What is never there has nothing in it.
        hollow = tuple(f"{each.removesuffix(': present')}." for each in never if "present" in each)
        unseen = {f"{at}: {word}" for at, word in self.schema.unseen(*definitions)}
        return [
            *sorted(f"operation {each}" for each in self._operations ^ set(self.answers)),
            *sorted(f"{operation} -> {status}" for operation, status in every - self.answered),
            *sorted(each for each in unseen ^ never if not each.startswith(hollow)),
        ]

    def _operation(self, method: str, path: str) -> str:
        """The operation that a request means: of several the one that says most of it."""
        fitting = [each for each in self._operations if _fits(each, f"{method} {path}")]
        assert fitting, f"there is no operation {method} {path}"
        return min(fitting, key=lambda each: (each.count("{"), each))


def _fits(operation: str, request: str) -> bool:
    parts = (re.escape(part) for part in re.split(r"\{\w+\}", operation))
    return re.fullmatch("[^/]+".join(parts), request) is not None
