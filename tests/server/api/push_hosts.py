"""What each host of repositories sends when refs are pushed, by its documentation."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from towline_server.projects.domain import Provider

SECRET = "a webhook secret of the tests"
COMMIT = "1" * 40


def _hmac(body: bytes, secret: str) -> str:
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def _one_ref(ref: str, after: str = COMMIT) -> dict[str, Any]:
    return {"ref": ref, "after": after, "repository": {"default_branch": "main"}}


def _cloud(ref: str, after: str = COMMIT) -> dict[str, Any]:
    _, kind, name = ref.split("/", 2)
    new = {"type": {"heads": "branch", "tags": "tag"}[kind], "name": name}
    return {"push": {"changes": [{"old": None, "new": new if after == COMMIT else None}]}}


def _data_center(ref: str, after: str = COMMIT) -> dict[str, Any]:
    return {"changes": [{"ref": {"id": ref}, "type": "UPDATE" if after == COMMIT else "DELETE"}]}


@dataclass(frozen=True)
class Host:
    """How a host's call looks, by its documentation."""

    provider: Provider
    event: tuple[str, str]
    delivery: str
    signature: str
    sign: Callable[[bytes, str], str]
    payload: Callable[..., dict[str, Any]] = _one_ref

    def headers(self, body: bytes, secret: str = SECRET, delivery: str = "d1") -> dict[str, str]:
        return {
            self.event[0]: self.event[1],
            self.delivery: delivery,
            self.signature: self.sign(body, secret),
            "Content-Type": "application/json",
        }


HOSTS = {
    "github": Host(
        Provider.GITHUB,
        ("X-GitHub-Event", "push"),
        "X-GitHub-Delivery",
        "X-Hub-Signature-256",
        lambda body, secret: f"sha256={_hmac(body, secret)}",
    ),
    "git": Host(
        Provider.GIT,
        ("X-GitHub-Event", "push"),
        "X-GitHub-Delivery",
        "X-Hub-Signature-256",
        lambda body, secret: f"sha256={_hmac(body, secret)}",
    ),
    "gitlab": Host(
        Provider.GITLAB,
        ("X-Gitlab-Event", "Push Hook"),
        "X-Gitlab-Event-UUID",
        "X-Gitlab-Token",
        lambda _, secret: secret,
    ),
    "gitea": Host(
        Provider.GITEA,
        ("X-Gitea-Event", "push"),
        "X-Gitea-Delivery",
        "X-Gitea-Signature",
        _hmac,
    ),
    "bitbucket cloud": Host(
        Provider.BITBUCKET,
        ("X-Event-Key", "repo:push"),
        "X-Request-UUID",
        "X-Hub-Signature",
        lambda body, secret: f"sha256={_hmac(body, secret)}",
        _cloud,
    ),
    "bitbucket data center": Host(
        Provider.BITBUCKET,
        ("X-Event-Key", "repo:refs_changed"),
        "X-Request-Id",
        "X-Hub-Signature",
        lambda body, secret: f"sha256={_hmac(body, secret)}",
        _data_center,
    ),
}
MAIN = "refs/heads/main"


def called(host: Host, ref: str = MAIN, **more: Any) -> bytes:
    return json.dumps(host.payload(ref, **more)).encode()
