"""Everything around the demo's server: a folder that is removed at its end, and a Git server."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from towline.pull import pull
from towline.remotes.git import GitRemote
from towline.testing.git_server import GitServer
from towline_server.errors import InvalidSettings
from towline_server.projects.store import SqlStore
from towline_server.services import open_services
from towline_server.settings import Settings, is_loopback, load_settings

from . import content, tenancy
from .curl import curl_lines


@dataclass(frozen=True, slots=True, kw_only=True)
class Demonstration:
    """A demo that is ready to be served."""

    settings: Settings
    load: Callable[[], Settings]
    repositories: Path

    def announce(self, url: str) -> str:
        """What to tell whoever started it, once it listens there."""
        return "\n".join([*_about(url, self.repositories), ""])


@contextmanager
def demonstration(settings_file: Path | None, given: Mapping[str, Any]) -> Iterator[Demonstration]:
    """A demo, its Git server running; what is ``given`` are settings of the command line.

    Raises:
        InvalidSettings: it would listen to other machines, or a setting is malformed.
    """
    with TemporaryDirectory(prefix="towline-demo-") as folder:
        root = Path(folder) / "repositories"
        content.make_repositories(root)
        said = {name: value for name, value in given.items() if value is not None}
        load = partial(_load, settings_file, {**said, **_settings(Path(folder))})
        settings = load()
        if not is_loopback(settings.host):
            # Everybody knows its credentials.
            raise InvalidSettings(problems=("host: the demo listens on a loopback host alone",))
        with GitServer(root) as git:
            _seed(settings, git.url, root)
            yield Demonstration(settings=settings, load=load, repositories=root)


def _load(file: Path | None, given: Mapping[str, Any]) -> Settings:
    settings = load_settings(file, **given)
    if "log_level" in settings.model_fields_set:
        return settings
    # A line for each request would bury what was told at the start.
    return settings.model_copy(update={"log_level": "warning"})


def _settings(folder: Path) -> dict[str, Any]:
    """Settings that the demo has its own of, whatever the environment says."""
    return {
        "data_dir": folder / "data",
        "database_url": "",
        "secret_keys": (),
        "remote_schemes": ("http",),
        "remote_networks": ("127.0.0.0/8",),
        "webhook_schemes": ("http", "https"),
        "webhook_networks": ("127.0.0.0/8",),
        "jwt_jwks_url": "",
        "jwt_jwks_file": None,
        **tenancy.TOKENS,
    }


def _seed(settings: Settings, git_url: str, root: Path) -> None:
    services = open_services(settings)
    try:
        rules = tenancy.make_tenancy(services, git_url)
        store = SqlStore(services.database, rules.id)
        with GitRemote(f"{git_url}/rules.git", ref="main") as remote:
            pull(store, remote)
        content.edit_rules(store)
        content.publish_news(root)
    finally:
        services.close()


def _about(url: str, repositories: Path) -> Iterator[str]:
    yield f"The demo listens on {url}. It forgets everything when it ends; Ctrl-C ends it."
    yield ""
    yield f"  user      {tenancy.EMAIL}, password {tenancy.PASSWORD}"
    yield f"  JWT       {tenancy.token()}"
    for name, key in tenancy.KEYS.items():
        yield f"  API key   {key}  for {name}"
    for name, project, connection in (
        ("rules", tenancy.RULES_PROJECT, tenancy.RULES_CONNECTION),
        ("pipelines", tenancy.PIPELINES_PROJECT, tenancy.PIPELINES_CONNECTION),
    ):
        yield f"  project   /{tenancy.TENANT}/shop/{name}  {project}, connection {connection}"
        yield f"            its repository: {repositories / name}.git"
    for each in curl_lines(url):
        yield ""
        yield f"# {each.about}"
        yield each.line
