"""``towline serve``: the control plane as a process."""

from __future__ import annotations

from pathlib import Path

import click

from .output import settings_from, settings_option


@click.command()
@settings_option
@click.option("--host", help="Where to listen; 127.0.0.1 by default.")
@click.option("--port", type=click.IntRange(0, 65535), help="The port; 8080 by default, 0: any.")
@click.option(
    "--data-dir",
    type=click.Path(file_okay=False, path_type=Path),
    help="The folder for the embedded database, its key and the cache.",
)
def serve(
    settings_file: Path | None, host: str | None, port: int | None, data_dir: Path | None
) -> None:
    """Start the control plane; SIGTERM or Ctrl-C ends it when its requests have ended."""
    from towline_server import logs
    from towline_server.app import create_app, execution
    from towline_server.runs.runtime import open_runtime
    from towline_server.services import open_services
    from towline_server.serving import run

    settings = settings_from(settings_file, host=host, port=port, data_dir=data_dir)
    logs.set_up(settings.log_level)
    services = open_services(settings)
    try:
        runtime = open_runtime(settings, services.database, services.sealer)
        services = services.executing(runtime)
        run(create_app(settings, services=services, background=[execution(runtime)]), settings)
    finally:
        services.close()
