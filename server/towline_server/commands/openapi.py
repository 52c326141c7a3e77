"""``towline openapi``: the document that describes every dialect."""

from __future__ import annotations

import json
import sys

import click


@click.command()
@click.option(
    "--dialect", help="Print only the document of this dialect, such as codat.", metavar="NAME"
)
@click.option("--server", help="The address that clients are generated for.", metavar="URL")
def openapi(dialect: str | None, server: str | None) -> None:
    """Print the OpenAPI document; it needs neither settings nor a database."""
    from towline_server.app import create_app
    from towline_server.errors import NotFound
    from towline_server.settings import Settings

    app = create_app(Settings.defaults())
    try:
        document = app.openapi() if dialect is None else app.openapi_of(dialect.lower())
    except NotFound:
        names = ", ".join(tag["name"].lower() for tag in app.openapi()["tags"])
        raise click.BadParameter(f"must be one of {names}", param_hint="--dialect") from None
    if server is not None:
        document["servers"] = [{"url": server}]
    sys.stdout.write(json.dumps(document, indent=2, sort_keys=True) + "\n")
