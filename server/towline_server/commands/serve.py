"""``towline serve``: the control plane as a process."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import click

from towline_server.settings import load_settings

from .session import settings_option

if TYPE_CHECKING:
    from collections.abc import Callable

    from towline_server.settings import Settings

_COUNTERS = "PROMETHEUS_MULTIPROC_DIR"


@click.command()
@settings_option
@click.option("--host", help="The address to listen on; 127.0.0.1 by default.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    help="The port to listen on; 8080 by default, 0 for any free one.",
)
@click.option(
    "--data-dir",
    type=click.Path(file_okay=False, path_type=Path),
    help="The folder for the embedded database, its key and the cache.",
)
@click.option(
    "--workers",
    type=click.IntRange(0, 64),
    help="How many other processes execute runs; by default 0: this one does.",
)
@click.option(
    "--demo",
    is_flag=True,
    help="Serve a demo tenant with two repositories, which are deleted at the end.",
)
def serve(
    settings_file: Path | None,
    host: str | None,
    port: int | None,
    data_dir: Path | None,
    workers: int | None,
    demo: bool,
) -> None:
    """Start the control plane.

    SIGTERM or Ctrl-C stops it once its requests have ended, and hands its runs back. SIGHUP
    reloads the settings.
    """
    from towline_server.serving import leaving_quietly

    if demo and data_dir is not None:
        raise click.UsageError("--demo has a folder of its own; omit --data-dir")
    if demo and workers:
        raise click.UsageError("--demo is one process; omit --workers")
    with leaving_quietly():
        if demo:
            _serve_demo(settings_file, host=host, port=port)
        else:
            given = {"host": host, "port": port, "data_dir": data_dir, "workers": workers}
            set_here = {name: value for name, value in given.items() if value is not None}
            load = partial(load_settings, settings_file, **set_here)
            settings = load()
            with _sharing_counters(settings.workers):
                _serve(settings, load, settings_file=settings_file)


@contextmanager
def _sharing_counters(workers: int) -> Iterator[None]:
    """Let prometheus_client, which is not loaded yet, share counters with the workers, if any."""
    if not workers:
        yield
        return
    with TemporaryDirectory(prefix="towline-metrics-") as folder:
        os.environ[_COUNTERS] = folder
        try:
            yield
        finally:
            del os.environ[_COUNTERS]


def _serve_demo(settings_file: Path | None, **given: object) -> None:
    from towline_server.demo import demonstration

    with demonstration(settings_file, given) as demo:

        def announce(url: str) -> None:
            click.echo(demo.announce(url))

        _serve(demo.settings, demo.load, announce)


def _serve(
    settings: Settings,
    load: Callable[[], Settings],
    on_listening: Callable[[str], None] = lambda _url: None,
    settings_file: Path | None = None,
) -> None:
    from towline_server import logs, telemetry
    from towline_server.app import create_app
    from towline_server.db.pools import connections_for
    from towline_server.reloading import reload
    from towline_server.runs.runtime import ProcessRole, open_runtime
    from towline_server.services import open_services
    from towline_server.serving import run
    from towline_server.web.operations import Measured

    logs.set_up(settings.log_level)
    workers, runs = settings.workers, settings.runs_at_once
    services = open_services(
        settings,
        runs=0 if workers else runs,
        answers=True,
        beside=workers * connections_for(runs=runs, answers=False),
    )
    try:
        runtime = open_runtime(
            settings,
            services.database,
            services.sealer,
            role=ProcessRole.ANSWERING if workers else ProcessRole.ALL,
            worker_command=_worker_command(settings, settings_file),
        )
        services = services.with_runtime(runtime)
        app = create_app(settings, services=services, runtime=runtime)
        with telemetry.sending(Measured(services, app.state.gauges).collect):
            run(
                app,
                settings,
                on_hangup=partial(reload, app, load),
                on_listening=on_listening,
                on_stopping=runtime.end_streams,
            )
    finally:
        services.close()


def _worker_command(settings: Settings, settings_file: Path | None) -> list[str]:
    """Return what starts a worker with the same settings; the rest is in the environment."""
    named = [] if settings_file is None else ["--settings", str(settings_file)]
    where = ["--data-dir", str(settings.data_dir)]
    return [sys.executable, "-m", "towline_server.commands.work", "--attached", *named, *where]
