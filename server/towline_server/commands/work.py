"""``towline work``: the executor of runs alone, beside a server or on another machine."""

from __future__ import annotations

import os
import sys
import threading
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

import click

from towline_server.settings import load_settings

from .session import settings_option

if TYPE_CHECKING:
    from towline_server.runs.runtime import Runtime
    from towline_server.settings import Settings

_STDIN, _STDOUT = 0, 1


@click.command()
@settings_option
@click.option(
    "--data-dir",
    type=click.Path(file_okay=False, path_type=Path),
    help="The folder for the cache; not shared between machines.",
)
@click.option(
    "--backend",
    type=click.Choice(["native", "temporal", "prefect"]),
    default="native",
    show_default=True,
    help="Which runs to execute: those in the database's own queue, those in Temporal, or one in "
    "Prefect.",
)
@click.option(
    "--metrics-address",
    metavar="HOST:PORT",
    help="The address to serve /healthz and /metrics on; off by default.",
)
@click.argument("run", type=click.UUID, required=False)
@click.option("--attached", is_flag=True, hidden=True, help="Started by a server, over pipes.")
def work(
    settings_file: Path | None,
    data_dir: Path | None,
    backend: str,
    metrics_address: str | None,
    run: UUID | None,
    attached: bool,
) -> None:
    """Execute runs from the database that servers share; answers no requests.

    SIGTERM or Ctrl-C stops it once its runs are handed back. With --backend prefect, a worker of
    Prefect starts it for one RUN; the exit code is 1 if that failed.
    """
    from towline_server import logs
    from towline_server.serving import leaving_quietly
    from towline_server.worker_metrics import showing_metrics

    given = {} if data_dir is None else {"data_dir": data_dir}
    with leaving_quietly():
        settings = load_settings(settings_file, **given)
        if (run is None) is (backend == "prefect"):
            raise click.UsageError("RUN is required with --backend prefect, and only allowed there")
        logs.set_up(settings.log_level)
        with showing_metrics(metrics_address, settings):
            if run is not None:
                sys.exit(_work_for_prefect(settings, run))
            if backend == "temporal":
                _work_for_temporal(settings)
            else:
                _work(settings, attached=attached)


def _work(settings: Settings, *, attached: bool) -> None:
    from towline_server import telemetry
    from towline_server.metrics import REGISTRY
    from towline_server.runs.runtime import ProcessRole, open_runtime
    from towline_server.services import open_services

    with closing(open_services(settings, runs=settings.runs_at_once)) as services:
        runtime = open_runtime(
            settings, services.database, services.sealer, role=ProcessRole.EXECUTING
        )
        with telemetry.sending(REGISTRY.collect):
            runtime.start()
            try:
                if attached:
                    _attend(runtime)
                else:
                    threading.Event().wait()
            finally:
                runtime.stop()


def _work_for_temporal(settings: Settings) -> None:
    from towline_server import telemetry
    from towline_server.errors import InvalidSettings
    from towline_server.metrics import REGISTRY
    from towline_server.runs.runtime import open_orchestrated_worker, runs_at_once
    from towline_server.runs.temporal.worker import TemporalWorker
    from towline_server.services import open_services

    if not settings.temporal.address:
        problem = "temporal.address: needed by work --backend temporal"
        raise InvalidSettings(problems=(problem,))
    with closing(open_services(settings, runs=2 * settings.runs_at_once)) as services:
        orchestrated = open_orchestrated_worker(settings, services.database, services.sealer)
        worker = TemporalWorker(
            orchestrated,
            settings.temporal,
            at_once=runs_at_once(settings),
            lease_seconds=settings.lease_seconds,
        )
        with telemetry.sending(REGISTRY.collect):
            worker.start()
            try:
                threading.Event().wait()
            finally:
                worker.stop(settings.shutdown_seconds)


def _work_for_prefect(settings: Settings, run_id: UUID) -> int:
    from towline_server.runs.prefect.execution import execute_flow_run
    from towline_server.runs.states import RunState
    from towline_server.services import open_services

    with closing(open_services(settings, runs=1)) as services:
        run = execute_flow_run(settings, services.database, services.sealer, run_id)
    return 1 if run.state is RunState.FAILED else 0


def _attend(runtime: Runtime) -> None:
    """Look for runs when the server says so, and say when one changed, until the server ends."""
    os.set_blocking(_STDOUT, False)

    def say() -> None:
        # A full pipe says it already; a server that is gone needs nothing.
        with suppress(OSError):
            os.write(_STDOUT, b"\n")

    runtime.changes.listen(say)
    while os.read(_STDIN, 4096):
        runtime.native.submit([])


if __name__ == "__main__":
    work()
