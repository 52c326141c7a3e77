"""A refused method says which ones the path takes."""

from __future__ import annotations

import pytest
from fastapi.testclient import TestClient

from towline_server.app import create_app
from towline_server.settings import Settings

PROJECTS = "/api/towline/v1/projects"


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        (PROJECTS, "GET, HEAD, POST"),
        (f"{PROJECTS}/x", "DELETE, GET, HEAD, PATCH"),
        (f"{PROJECTS}/x/content/a/b", "GET, HEAD, PUT"),
        ("/companies", "GET"),
    ],
)
def test_all_methods_of_a_path_are_listed(path: str, allowed: str):
    answer = TestClient(create_app(Settings.defaults())).options(path)
    assert answer.status_code == 405
    assert answer.headers["allow"] == allowed
