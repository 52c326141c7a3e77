"""What ``docs/operations.md`` says is so: settings, metrics, backup and restore, growing up."""

from __future__ import annotations

import re
import shutil
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from sqlalchemy import Engine, text

from tests.control_plane import PASSWORD
from tests.databases import everything
from tests.postgres import PostgresServer
from tests.server.operations import DOCUMENT, block, settings_table
from tests.server.serving import LONG, environment
from towline.errors import InvalidValue, TowlineError
from towline.model import AssetPath
from towline.remotes.credentials import Credential
from towline_server.app import create_app
from towline_server.auth.roles import Role
from towline_server.commands.admin import admin
from towline_server.db import Database, make_engine, upgrade
from towline_server.db.clock import database_now
from towline_server.db.transfer import transfer
from towline_server.errors import AlreadyExists, NotFound
from towline_server.projects.service import Projects
from towline_server.projects.store import SqlStore
from towline_server.projects.tenants import Tenants
from towline_server.services import Services, open_services
from towline_server.settings import Settings, load_settings
from towline_server.tables import Base
from towline_server.web.dialect import Gauges
from towline_server.web.operations import Measured
from towline_server.webhooks.deliveries import Deliveries
from towline_server.webhooks.service import EndpointSettings, signing_secrets

SECRET = Credential("x", "a token of the remote")
HOOK = "https://hooks.demo.example/"


def _document() -> str:
    return DOCUMENT.read_text(encoding="utf-8")


# --- tables of the document ---------------------------------------------------------------------


def test_every_setting_is_documented_as_it_is():
    assert settings_table() in _document()


def test_every_metric_is_documented_and_no_other(settings: Settings, services: Services):
    gauges: list[Gauges] = create_app(settings, services=services).state.gauges
    measured = Measured(services, gauges)
    there = {
        family.name + ("_total" if family.type == "counter" else "")
        for family in measured.collect()
        if family.name.startswith("towline_")
    }
    rows = re.findall(r"^\| (`towline_[^|]*) \|", _document(), re.MULTILINE)
    assert there == set(re.findall(r"`(towline_\w+)`", "".join(rows)))


@pytest.mark.parametrize("name", ["grafana/towline.json", "prometheus/alerts.yaml"])
def test_what_is_drawn_and_alerted_on_is_measured(name: str):
    text = (DOCUMENT.parents[1] / "deploy" / name).read_text(encoding="utf-8")
    named = {re.sub("_(bucket|count|sum)$", "", each) for each in re.findall(r"towline_\w+", text)}
    assert named
    assert named <= set(re.findall(r"`(towline_\w+)`", _document()))


@pytest.mark.services
def test_prometheus_accepts_the_alerts():
    rules = DOCUMENT.parents[1] / "deploy" / "prometheus" / "alerts.yaml"
    done = subprocess.run(
        ["promtool", "check", "rules", rules], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


# --- a control plane with everything in it ------------------------------------------------------


def _fill(services: Services) -> None:
    """A tenant with a password, sealed secrets, a message that waits, and an asset."""
    with services.database.writing() as session:
        tenant = Tenants(session).create("demo")
        connection = services.connections(session).create(
            tenant_id=tenant.id, url="https://git.demo.example/r.git", credential=SECRET
        )
        project = Projects(session).create(tenant_id=tenant.id, path="/demo/space/project")
        identities = services.identities(session)
        identities.create_user(
            tenant_id=tenant.id, email="a@demo.example", password=PASSWORD, tenant_role=Role.ADMIN
        )
        assert services.connections(session).credentials(connection.id) is not None
        webhook, _ = services.webhooks(session).create(tenant.id, EndpointSettings(url=HOOK))
        Deliveries(session, webhook.id).ping()
    store = SqlStore(services.database, project.id)
    for path in ("rules/é.json", "tasks/nightly.json"):
        store.put(AssetPath(path), path.encode() + bytes(range(256)))


def _opens_secrets(services: Services) -> bool:
    with services.database.reading() as session:
        connections = services.connections(session)
        tenant = Tenants(session).named("demo")
        assert tenant is not None
        [one] = connections.of_tenant(tenant.id)
        [webhook], _ = services.webhooks(session).page(tenant.id, limit=2)
        now = database_now(session)
        [signs] = signing_secrets(session, services.sealer, webhook.id, now)
        opened = connections.credentials(one.id)(one.url) == SECRET
        return opened and signs.startswith("whsec_")


def _admin(*words: str) -> Any:
    result = CliRunner().invoke(admin, [*words])
    if isinstance(result.exception, TowlineError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stdout


# --- backup and restore -------------------------------------------------------------------------


def test_a_backup_is_one_moment_of_a_server_that_writes(plain_environment: None, tmp_path: Path):
    services = open_services(load_settings(data_dir=tmp_path / "data"))
    _fill(services)
    before = everything(services.database)
    environment_of = {"TOWLINE_DATA_DIR": str(tmp_path / "data")}
    with services.database.writing() as session:
        Tenants(session).create("uncommitted")
        session.flush()
        ran = CliRunner().invoke(admin, ["backup", str(tmp_path / "backup")], env=environment_of)
        assert ran.exit_code == 0, ran.exception
    services.close()

    assert sorted(path.name for path in (tmp_path / "backup").iterdir()) == [
        "secret.key",
        "towline.db",
    ]
    for path in (tmp_path / "backup").iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    shutil.rmtree(tmp_path / "data")
    shutil.copytree(tmp_path / "backup", tmp_path / "data")
    restored = open_services(load_settings(data_dir=tmp_path / "data"))
    assert everything(restored.database) == before
    assert _opens_secrets(restored)
    restored.close()


def test_a_backup_overwrites_nothing_and_wants_an_embedded_database(
    plain_environment: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("TOWLINE_DATA_DIR", str(tmp_path / "data"))
    with pytest.raises(NotFound):
        _admin("backup", str(tmp_path / "backup"))
    open_services(load_settings()).close()
    (tmp_path / "backup").mkdir()
    with pytest.raises(AlreadyExists):
        _admin("backup", str(tmp_path / "backup"))
    monkeypatch.setenv("TOWLINE_DATABASE_URL", "postgresql://nowhere/none")
    monkeypatch.setenv("TOWLINE_SECRET_KEYS", "k" * 40)
    with pytest.raises(InvalidValue):
        _admin("backup", str(tmp_path / "other"))


@pytest.mark.services
def test_postgresql_is_backed_up_and_restored_as_documented(
    postgres_server: PostgresServer, plain_environment: None, tmp_path: Path
):
    urls = [postgres_server.create(f"towline_{name}") for name in ("backed_up", "restored")]
    keys: dict[str, Any] = {"secret_keys": ["k" * 40], "data_dir": tmp_path / "data"}
    services = open_services(load_settings(database_url=urls[0], **keys))
    _fill(services)
    before = everything(services.database)
    services.close()
    for name, url in zip(("back up PostgreSQL", "restore PostgreSQL"), urls, strict=True):
        subprocess.run(
            ["sh", "-e", "-c", block(name)],
            cwd=tmp_path,
            env=environment(TOWLINE_DATABASE_URL=url),
            timeout=LONG,
            check=True,
        )
    restored = open_services(load_settings(database_url=urls[1], **keys))
    assert everything(restored.database) == before
    assert _opens_secrets(restored)
    restored.close()


# --- growing up ---------------------------------------------------------------------------------


def _copied(source: Path, target_url: str) -> None:
    services = open_services(load_settings(data_dir=source))
    _fill(services)
    before = everything(services.database)
    key = (source / "secret.key").read_text().strip()
    services.close()
    ran = CliRunner().invoke(
        admin, ["transfer", "--to", target_url], env={"TOWLINE_DATA_DIR": str(source)}
    )
    assert ran.exit_code == 0, ran.exception
    grown = open_services(
        load_settings(database_url=target_url, data_dir=source.parent / "new", secret_keys=[key])
    )
    assert everything(grown.database) == before
    assert _opens_secrets(grown)
    grown.close()


def test_everything_moves_to_another_database(
    plain_environment: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    # So that there is more than one part of a table.
    monkeypatch.setattr("towline_server.db.transfer._ROWS", 1)
    _copied(tmp_path / "data", f"sqlite:///{tmp_path}/other.sqlite")


@pytest.mark.services
def test_everything_moves_to_postgresql(
    plain_environment: None, postgres_server: PostgresServer, tmp_path: Path
):
    _copied(tmp_path / "data", postgres_server.create("towline_grown"))


@pytest.fixture
def engines(sqlite_url: str, tmp_path: Path):
    target = make_engine(f"sqlite:///{tmp_path}/target.sqlite")
    source = make_engine(sqlite_url)
    yield source, target
    source.dispose()
    target.dispose()


def test_only_an_empty_database_of_this_version_is_filled(engines: tuple[Engine, Engine]):
    source, target = engines
    with pytest.raises(InvalidValue, match="version"):
        transfer(source, target, Base.metadata)
    upgrade(target)
    with Database(target).writing() as session:
        Tenants(session).create("there")
    with pytest.raises(InvalidValue, match="empty"):
        transfer(source, target, Base.metadata)
    with source.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = 'r0001'"))
    with pytest.raises(InvalidValue, match="version"):
        transfer(source, target, Base.metadata)
