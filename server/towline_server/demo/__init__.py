"""The demo: a server over two repositories, in a folder that is removed when it ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from towline.frozen import frozen
from towline.pull import pull
from towline.remotes.git import GitRemote
from towline.testing.git_server import GitServer
from towline_server.errors import InvalidSettings
from towline_server.projects.store import SqlStore
from towline_server.services import open_services
from towline_server.settings import Settings, is_loopback, load_settings

from . import content, tenancy


@frozen(kw_only=True)
class Demonstration:
    """A demo that is ready to be served."""

    settings: Settings
    load: Callable[[], Settings]
    repositories: Path

    def announce(self, url: str) -> str:
        """Return what is printed when it listens at this address."""
        return "\n".join([*_about(url, self.repositories), ""])


@contextmanager
def demonstration(settings_file: Path | None, given: Mapping[str, Any]) -> Iterator[Demonstration]:
    """Yield a demo, its Git server running; ``given`` are settings of the command line.

    Raises:
        InvalidSettings: it would listen to other machines, or a setting is malformed.
    """
    with TemporaryDirectory(prefix="towline-demo-") as folder:
        root = Path(folder) / "repositories"
        content.make_repositories(root)
        set_here = {name: value for name, value in given.items() if value is not None}
        load = partial(_load, settings_file, {**set_here, **_settings(Path(folder))})
        settings = load()
        if not is_loopback(settings.host):
            # Its credentials are public.
            raise InvalidSettings(problems=("host: the demo listens on a loopback host alone",))
        with GitServer(root) as git:
            _seed(settings, git.url, root)
            yield Demonstration(settings=settings, load=load, repositories=root)


def _load(file: Path | None, given: Mapping[str, Any]) -> Settings:
    settings = load_settings(file, **given)
    if "log_level" in settings.model_fields_set:
        return settings
    # A line for each request would bury what is printed at the start.
    return settings.model_copy(update={"log_level": "warning"})


def _settings(folder: Path) -> dict[str, Any]:
    """Return the settings that the environment cannot change."""
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
    with closing(open_services(settings)) as services:
        tenancy.make_tenancy(services, git_url)
        store = SqlStore(services.database, tenancy.RULES_PROJECT)
        with GitRemote(f"{git_url}/rules.git", ref="main") as remote:
            pull(store, remote)
        content.edit_rules(store)
        tenancy.note_fetched(services, tenancy.RULES_PROJECT, content.publish_news(root))


def _about(url: str, repositories: Path) -> Iterator[str]:
    yield f"The demo listens on {url}. Ctrl-C stops it, and deletes everything."
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
    for about, line in curl_lines(url).items():
        yield ""
        yield f"# {about}"
        yield line
    yield ""
    yield "Or open the conflict in a browser, and sign in as the user:"
    yield f"  {conflict_page(url)}"


def conflict_page(url: str) -> str:
    """Return the address of the page that shows the demo's conflict."""
    return f"{url}/ui/projects/{tenancy.RULES_PROJECT}/conflicts"


def curl_lines(url: str) -> dict[str, str]:
    """Return a line for a shell for each dialect and the native API, by what it shows.

    They are in the order in which a reader tries them.
    """
    keys = tenancy.KEYS
    rules, pipelines = tenancy.RULES_PROJECT, tenancy.PIPELINES_PROJECT
    connection = tenancy.PIPELINES_CONNECTION
    return {
        "SnapLogic: pull a project": (
            f"curl -s -X POST -u {tenancy.EMAIL}:{tenancy.PASSWORD}"
            f" {url}/api/1/rest/public/project/pull/{tenancy.TENANT}/shop/rules"
        ),
        "Nected: pull a branch": (
            f"curl -s -X POST -H 'Nected-API-Key: {keys['nected']}' -H 'Nected-Branch: live'"
            f" {url}/dev/remote/pull"
        ),
        "Codat: queue a pull operation": (
            f"curl -s -X POST -u {keys['codat']}:"
            # Quoted: a question mark means something to some shells.
            f" '{url}/companies/{pipelines}/data/queue/pipeline?connectionId={connection}'"
        ),
        "Syncs: create a sync that runs at once": (
            f"curl -s -H 'X-API-Key: {keys['syncs']}' -H 'Content-Type: application/json'"
            f' -d \'{{"connectionId": "{connection}", "name": "Pipelines", "status": "active",'
            f' "triggerMode": "on_create"}}\' {url}/api/v1/syncs'
        ),
        "Connections: request a sync of every kind": (
            f"curl -s -X POST -H 'Authorization: Bearer {keys['connections']}'"
            f" {url}/v2/integrations/connections/{connection}/sync"
        ),
        "towline's own API: the conflict that was left": (
            f"curl -s -H 'Authorization: Bearer {keys['native']}'"
            f" {url}/api/towline/v1/projects/{rules}/conflicts"
        ),
    }
