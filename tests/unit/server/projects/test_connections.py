"""Connections, and where their credentials go."""

from __future__ import annotations

from uuid import uuid4

import pytest
from sqlalchemy import update

from towline.errors import InvalidValue
from towline.remotes.credentials import Credential
from towline.remotes.url import RemoteUrl, Scheme
from towline_server.auth.sealing import Sealer
from towline_server.errors import ConnectionInUse, CredentialUnreadable, NotFound
from towline_server.projects.connection_tables import ConnectionRow
from towline_server.projects.connections import Connections
from towline_server.projects.domain import Provider

CREDENTIAL = Credential("demo", "hush-hush")


@pytest.fixture
def session(services, demo, other):
    with services.database.writing() as session:
        yield session


@pytest.fixture
def connections(services, session):
    return services.connections(session)


@pytest.fixture
def made(connections, demo):
    return connections.create(
        tenant_id=demo.tenant_id, url="https://Git.demo.example/a.git", credential=CREDENTIAL
    )


def _sent_to(connections, connection, url):
    return connections.credentials(connection.id)(RemoteUrl.parse(url))


def test_a_credential_goes_to_its_origin_alone(connections, made):
    assert _sent_to(connections, made, "https://git.demo.example/a.git") == CREDENTIAL
    assert _sent_to(connections, made, "https://GIT.demo.example:443/b.git") == CREDENTIAL
    for elsewhere in (
        "http://git.demo.example/a.git",
        "https://git.demo.example:8443/a.git",
        "https://git.demo.example.evil.example/a.git",
        "https://demo.example/a.git",
        "ssh://git.demo.example/a.git",
    ):
        assert _sent_to(connections, made, elsewhere) is None


def test_a_credential_in_the_url_is_taken_off_and_stored(connections, demo):
    url = "https://demo:hush-hush@git.demo.example/a.git"
    made = connections.create(tenant_id=demo.tenant_id, url=url)
    assert made.url.address == "https://git.demo.example/a.git"
    assert "hush" not in repr(made)
    assert _sent_to(connections, made, made.url.address) == CREDENTIAL


def test_nothing_that_is_shown_or_stored_has_the_credential(connections, made, session):
    row = session.get(ConnectionRow, made.id)
    stored = [getattr(row, column.key) for column in ConnectionRow.__mapper__.columns]
    for value in (*stored, repr(made)):
        assert b"hush" not in (value if isinstance(value, bytes) else str(value).encode())
    assert made.has_credential


@pytest.mark.parametrize(
    ("url", "retained"),
    [
        ("https://git.demo.example/other.git", True),
        ("https://GIT.demo.example:443/a.git", True),
        ("https://git.demo.example:444/a.git", False),
        ("https://elsewhere.example/a.git", False),
        ("http://git.demo.example/a.git", False),
    ],
)
def test_another_origin_drops_the_credential(session, services, made, url, retained):
    connections = Connections(session, services.sealer, frozenset({Scheme.HTTPS, Scheme.HTTP}))
    connections.set_webhook_secret(made.id, "signs")
    changed = connections.change_url(made.id, url)
    assert changed.has_credential is retained
    assert changed.has_webhook_secret is retained
    assert _sent_to(connections, changed, url) == (CREDENTIAL if retained else None)
    # Going back does not bring it back.
    assert connections.change_url(made.id, made.url.address).has_credential is retained


def test_a_row_that_was_pointed_elsewhere_opens_no_more(session, connections, made, demo):
    """Someone who can write to the database gains no credential by it."""
    thief = connections.create(tenant_id=demo.tenant_id, url="https://evil.example/a.git")
    table = ConnectionRow
    stolen = session.get(table, made.id).credential
    session.execute(
        update(table)
        .where(table.id == thief.id)
        .values(credential=stolen, credential_origin="https://evil.example:443")
    )
    session.execute(
        update(table)
        .where(table.id == made.id)
        .values(url="https://evil.example/a.git", credential_origin="https://evil.example:443")
    )
    session.expire_all()
    for connection in (thief, made):
        with pytest.raises(CredentialUnreadable):
            connections.credentials(connection.id)


def test_a_credential_is_replaced_and_forgotten(connections, made):
    new = Credential("demo", "newer")
    connections.set_credential(made.id, new)
    assert _sent_to(connections, made, "https://git.demo.example/a.git") == new
    assert not connections.forget_credential(made.id).has_credential
    assert _sent_to(connections, made, "https://git.demo.example/a.git") is None


def test_the_operator_says_which_schemes(session, services, demo, connections):
    for url in ("http://git.demo.example/a", "file:///srv/a.git", "/srv/a.git", "git@host:a.git"):
        with pytest.raises(InvalidValue, match="url"):
            connections.create(tenant_id=demo.tenant_id, url=url)
    everything = Connections(session, services.sealer, frozenset(Scheme))
    made = everything.create(tenant_id=demo.tenant_id, url="git@git.demo.example:a.git")
    with pytest.raises(InvalidValue, match="credential"):
        everything.set_credential(made.id, CREDENTIAL)
    with pytest.raises(InvalidValue):
        connections.change_url(made.id, "http://git.demo.example/a")


def test_webhook_secrets_are_sealed_too(connections, made, session):
    assert connections.webhook_secret(made.id) is None
    assert connections.set_webhook_secret(made.id, "signs all").has_webhook_secret
    assert connections.webhook_secret(made.id) == "signs all"
    assert b"signs" not in session.get(ConnectionRow, made.id).webhook_secret
    connections.set_webhook_secret(made.id, None)
    assert connections.webhook_secret(made.id) is None


def test_resealing_moves_every_secret_to_the_first_key(session, services, connections, made):
    connections.set_webhook_secret(made.id, "signs")
    old = services.settings.secret_keys[0].get_secret_value()
    both = Connections(session, Sealer(["a new key " * 5, old]))
    assert both.reseal() == 2
    assert both.reseal() == 0
    new = Connections(session, Sealer(["a new key " * 5]))
    assert new.credentials(made.id)(made.url) == CREDENTIAL
    assert new.webhook_secret(made.id) == "signs"
    with pytest.raises(CredentialUnreadable):
        connections.credentials(made.id)


def test_connections_are_listed_for_their_tenant(connections, made, demo, other):
    assert connections.of_tenant(demo.tenant_id) == (demo.connection, made)
    assert connections.of_tenant(other.tenant_id) == (other.connection,)
    assert made.provider is Provider.GIT
    assert connections.rename(made.id, "new name").name == "new name"


def test_a_connection_in_use_is_not_deleted(connections, made, demo):
    with pytest.raises(ConnectionInUse):
        connections.delete(demo.connection.id)
    connections.delete(made.id)
    assert connections.get(made.id) is None


def test_unknown_connections_are_not_found(connections):
    with pytest.raises(NotFound):
        connections.credentials(uuid4())
