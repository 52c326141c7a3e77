"""``towline openapi``: the document that describes every dialect."""

from __future__ import annotations

import json
import sys

import click


@click.command()
def openapi() -> None:
    """Print the OpenAPI document; it needs neither settings nor a database."""
    from towline_server.app import create_app
    from towline_server.settings import Settings

    document = create_app(Settings.defaults()).openapi()
    sys.stdout.write(json.dumps(document, indent=2, sort_keys=True) + "\n")
