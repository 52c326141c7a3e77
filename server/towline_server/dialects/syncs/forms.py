"""The form of a connection of each provider, as JSON Schema that a client can draw it from."""

from __future__ import annotations

from collections.abc import Mapping, Set
from types import MappingProxyType
from typing import Any

from towline.frozen import frozen
from towline.remotes.credentials import TOKEN_USERNAME
from towline.remotes.url import GIT_SCHEMES, Scheme
from towline_server.projects.domain import Provider
from towline_server.sources.config import SOURCES, config_schema


@frozen(kw_only=True)
class Host:
    """How a provider is reached."""

    name: str
    url: str
    """An example of an address."""
    address: str = "The repository."
    username: str = "The user."
    password: str = "The password, or an access token."  # noqa: S105 - a label
    token_user: str | None = None
    """The user name that goes with an access token."""
    webhook: str | None = None
    """The header with a webhook's signature or secret; None: it sends none here."""


HOSTS: Mapping[Provider, Host] = MappingProxyType(
    {
        Provider.GIT: Host(name="Git", url="https://git.example.com/team/repository.git"),
        Provider.GITHUB: Host(
            name="GitHub",
            url="https://github.com/owner/repository.git",
            token_user=TOKEN_USERNAME,
            webhook="X-Hub-Signature-256",
        ),
        Provider.GITLAB: Host(
            name="GitLab",
            url="https://gitlab.com/group/repository.git",
            token_user="oauth2",  # noqa: S106 - the user's name, no secret
            webhook="X-Gitlab-Token",
        ),
        Provider.BITBUCKET: Host(
            name="Bitbucket",
            url="https://bitbucket.org/workspace/repository.git",
            token_user="x-token-auth",  # noqa: S106 - the user's name, no secret
            webhook="X-Hub-Signature",
        ),
        Provider.GITEA: Host(
            name="Gitea",
            url="https://gitea.example.com/owner/repository.git",
            webhook="X-Gitea-Signature",
        ),
        Provider.AZURE_DEVOPS: Host(
            name="Azure DevOps", url="https://dev.azure.com/organisation/project/_git/repository"
        ),
        Provider.HTTP_API: Host(
            name="HTTP API",
            url="https://api.example.com/v1/rules",
            address="The list of objects.",
            username="The user; left out for a token.",
            token_user=TOKEN_USERNAME,
        ),
        Provider.S3: Host(
            name="S3",
            url="https://s3.eu-central-1.amazonaws.com/bucket/prefix",
            address="The server, the bucket, and the prefix below which the files are.",
            username="The id of the access key.",
            password="The secret of the access key.",  # noqa: S106 - a label
        ),
        Provider.POSTGRES: Host(
            name="PostgreSQL",
            url="postgresql://db.example.com/database",
            address="The server and the database.",
            password="The password.",  # noqa: S106 - a label
        ),
        Provider.SFTP: Host(
            name="SFTP",
            url="sftp://files.example.com/srv/rules",
            address="The server, and the folder that has the files.",
            password="The password, or a private key.",  # noqa: S106 - a label
        ),
    }
)


def connection_schema(provider: Provider, allowed: Set[Scheme]) -> dict[str, Any]:
    """Return the JSON Schema of a connection; ``allowed`` are the operator's schemes.

    It has what ``POST /api/towline/v1/connections`` takes, and of a Git host where its projects
    are: the ref, and the folder there.
    """
    host = HOSTS[provider]
    form = SOURCES.get(provider)
    known = GIT_SCHEMES if form is None else form.schemes
    # Where the operator allows none, an address is refused when it is saved, by this setting.
    schemes = "|".join(sorted(known & allowed or known))
    properties: dict[str, Any] = {
        "url": {
            "type": "string",
            "title": "Address",
            "description": host.address,
            "pattern": f"^({schemes})://",
            "examples": [host.url],
        },
        "credential": _credential(host),
    }
    required = ["url"]
    if form is None:
        properties |= _PLACE
    else:
        properties["config"] = {**config_schema(provider), "title": "Source"}
        if "required" in properties["config"]:
            required.append("config")
    properties["path"] = {
        "type": "string",
        "title": "Folder",
        "description": "The folder that is the project; empty: all of it.",
        "default": "",
    }
    if host.webhook is not None:
        webhook = {
            "header": {
                "title": "Header",
                "description": "The header with its signature, or with its secret.",
                "const": host.webhook,
            },
            "event": {"title": "Event", "description": "What it is sent at.", "const": "push"},
        }
        properties["webhook"] = {
            "type": "object",
            "title": "Webhook",
            "description": "What the host is to send here at a push.",
            "readOnly": True,
            "properties": webhook,
        }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": host.name,
        "type": "object",
        "required": required,
        "properties": properties,
    }


_PLACE = {
    "ref": {
        "type": "string",
        "title": "Ref",
        "description": "The branch or the tag.",
        "default": "heads/main",
    }
}


def _credential(host: Host) -> dict[str, Any]:
    username = {"type": "string", "title": "User name", "description": host.username}
    if host.token_user is not None:
        username["default"] = host.token_user
    return {
        "type": "object",
        "title": "Credential",
        "description": "Stored sealed with the connection, and never shown again.",
        "writeOnly": True,
        "required": ["password"],
        "properties": {
            "username": username,
            "password": {
                "type": "string",
                "title": "Password",
                "description": host.password,
                "format": "password",
                "writeOnly": True,
            },
        },
    }
