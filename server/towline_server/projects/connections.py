"""Connections: made, found, and the one place where their secrets are sealed and opened.

A credential is bound to scheme, host and port. It leaves here towards a run alone, and only for the
origin that it was given for; no answer of any API holds it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import delete, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from towline.errors import InvalidValue
from towline.remotes.credentials import Credential, Credentials
from towline.remotes.url import ALL_SCHEMES, Origin, RemoteUrl, Scheme
from towline_server.audit.log import Action, Owner, record
from towline_server.auth.sealing import Sealer
from towline_server.db.statements import insert_new
from towline_server.errors import ConnectionInUse, existing
from towline_server.sources.config import check_address, check_config

from .connection_tables import BindingRow, ConnectionRow
from .domain import Connection, Provider
from .service import utc_now


class Connections:
    """The connections of a database, through a session that the caller commits.

    It does not authorise: see `towline_server.auth.roles.authorise_tenant`.
    """

    def __init__(
        self,
        session: Session,
        sealer: Sealer,
        schemes: AbstractSet[Scheme] = frozenset({Scheme.HTTPS}),
    ) -> None:
        self._session = session
        self._sealer = sealer
        self._schemes = schemes

    def get(self, connection_id: UUID) -> Connection | None:
        """The connection of this id."""
        row = self._session.get(ConnectionRow, connection_id)
        return None if row is None else _connection(row)

    def of_tenant(self, tenant_id: UUID) -> tuple[Connection, ...]:
        """Every connection of a tenant, oldest first."""
        query = select(ConnectionRow).where(ConnectionRow.tenant_id == tenant_id)
        ordered = query.order_by(ConnectionRow.created_at, ConnectionRow.id)
        return tuple(_connection(row) for row in self._session.scalars(ordered))

    def uses(self, tenant_id: UUID) -> Mapping[UUID, int]:
        """How many projects are bound to each connection of a tenant that any is bound to."""
        row = BindingRow
        query = (
            select(row.connection_id, func.count())
            .join(ConnectionRow, ConnectionRow.id == row.connection_id)
            .where(ConnectionRow.tenant_id == tenant_id)
            .group_by(row.connection_id)
        )
        return dict(self._session.execute(query).all())

    def create(
        self,
        *,
        tenant_id: UUID,
        url: str,
        name: str = "",
        provider: Provider = Provider.GIT,
        config: Mapping[str, Any] | None = None,
        credential: Credential | None = None,
        connection_id: UUID | None = None,
    ) -> Connection:
        """A new connection; a credential in the URL is taken off it, and stored if none is given.

        Raises:
            InvalidValue: the URL is malformed, or of a scheme that the provider does not have or
                the operator does not allow; the config is not of the provider's form; or a
                credential is given for what takes none.
        """
        parsed, embedded = self._split(provider, url)
        now = utc_now()
        row = ConnectionRow(
            id=connection_id or uuid4(),
            tenant_id=tenant_id,
            name=name or parsed.address,
            provider=str(provider),
            url=parsed.address,
            config=check_config(provider, config or {}),
            created_at=now,
            updated_at=now,
        )
        if (given := credential or embedded) is not None:
            self._store_credential(row, given)
        insert_new(self._session, row, "connection")
        self._record(Action.CONNECTION_CREATED, row, provider=row.provider)
        return _connection(row)

    def rename(self, connection_id: UUID, name: str) -> Connection:
        """Give it another name for people. Raises NotFound."""
        row = self._row(connection_id)
        row.name, row.updated_at = name, utc_now()
        return self._flushed(row, "name")

    def change_url(self, connection_id: UUID, url: str) -> Connection:
        """Point it elsewhere. At another scheme, host or port its credential is forgotten.

        The secret of its webhooks is forgotten with it: another host signs with its own.

        Raises:
            NotFound: there is none.
            InvalidValue: as in `create`.
        """
        row = self._row(connection_id)
        parsed, embedded = self._split(Provider(row.provider), url)
        if parsed.origin != _url(row).origin:
            row.credential = row.credential_origin = row.webhook_secret = None
        row.url, row.updated_at = parsed.address, utc_now()
        if embedded is not None:
            self._store_credential(row, embedded)
        return self._flushed(row, "url")

    def change_config(self, connection_id: UUID, config: Mapping[str, Any]) -> Connection:
        """Set a source to something else.

        Raises:
            NotFound: there is none.
            InvalidValue: the config is not of the provider's form.
        """
        row = self._row(connection_id)
        row.config, row.updated_at = check_config(row.provider, config), utc_now()
        return self._flushed(row, "config")

    def set_credential(self, connection_id: UUID, credential: Credential) -> Connection:
        """Store the credential for the origin that the connection has now.

        Raises:
            NotFound: there is none.
            InvalidValue: the connection's scheme takes no credential.
        """
        row = self._row(connection_id)
        self._store_credential(row, credential)
        row.updated_at = utc_now()
        return self._flushed(row, "credential")

    def forget_credential(self, connection_id: UUID) -> Connection:
        """Delete the stored credential. Raises NotFound."""
        row = self._row(connection_id)
        row.credential = row.credential_origin = None
        row.updated_at = utc_now()
        return self._flushed(row, "credential")

    def credentials(self, connection_id: UUID) -> Credentials:
        """What a run gives to its remote: it answers for the bound origin, and no other.

        Raises:
            NotFound: there is no such connection.
            CredentialUnreadable: it was sealed with a key that is gone, or was tampered with.
        """
        return self._credentials(self._row(connection_id))

    def with_credentials(self, connection_id: UUID) -> tuple[Connection, Callable[[], Credentials]]:
        """A connection, and what returns its `credentials`, read together. Raises NotFound."""
        row = self._row(connection_id)
        return _connection(row), lambda: self._credentials(row)

    def _credentials(self, row: ConnectionRow) -> Credentials:
        sealed, origin = row.credential, row.credential_origin
        if sealed is None or origin is None:
            return lambda _url: None
        user_and_password = json.loads(self._sealer.open(sealed, _purpose(row.id, origin)))
        credential = Credential(*user_and_password)
        return lambda url: credential if origin_text(url.origin) == origin else None

    def set_webhook_secret(self, connection_id: UUID, secret: str | None) -> Connection:
        """Store, or with None forget, what signs the webhooks that come in. Raises NotFound."""
        row = self._row(connection_id)
        sealed = None if secret is None else self._sealer.seal(secret, _webhook_purpose(row.id))
        row.webhook_secret, row.updated_at = sealed, utc_now()
        return self._flushed(row, "webhook_secret")

    def webhook_secret(self, connection_id: UUID) -> str | None:
        """What signs the webhooks that come in. Raises NotFound, CredentialUnreadable."""
        row = self._row(connection_id)
        if row.webhook_secret is None:
            return None
        return self._sealer.open(row.webhook_secret, _webhook_purpose(row.id))

    def reseal(self) -> int:
        """Seal every secret with the first key again, and return how many were not.

        Raises:
            CredentialUnreadable: the key of one is gone; nothing was changed.
        """
        changed = 0
        for row in self._session.scalars(select(ConnectionRow).order_by(ConnectionRow.id)):
            purpose = _purpose(row.id, row.credential_origin or "")
            if (again := self._sealer.resealed(row.credential, purpose)) is not None:
                row.credential, changed = again, changed + 1
            purpose = _webhook_purpose(row.id)
            if (again := self._sealer.resealed(row.webhook_secret, purpose)) is not None:
                row.webhook_secret, changed = again, changed + 1
        self._session.flush()
        return changed

    def delete(self, connection_id: UUID) -> None:
        """Delete a connection that is not in use. What is not there is deleted already.

        Raises:
            ConnectionInUse: a project is bound to it, or a sync names it.
        """
        row = self._session.get(ConnectionRow, connection_id)
        if row is None:
            return
        self._record(Action.CONNECTION_DELETED, row)
        try:
            with self._session.begin_nested():
                self._session.execute(
                    delete(ConnectionRow).where(ConnectionRow.id == connection_id)
                )
        except IntegrityError:
            raise ConnectionInUse from None

    def _split(self, provider: Provider, url: str) -> tuple[RemoteUrl, Credential | None]:
        parsed, embedded = RemoteUrl.split(url, ALL_SCHEMES)
        check_address(provider, parsed)
        # Last: a wrong address is the caller's to mend, this one the operator's.
        RemoteUrl.parse(parsed.address, self._schemes)
        return parsed, embedded

    def _row(self, connection_id: UUID) -> ConnectionRow:
        return existing(self._session.get(ConnectionRow, connection_id), "connection")

    def _flushed(self, row: ConnectionRow, changed: str) -> Connection:
        self._session.flush()
        self._record(Action.CONNECTION_CHANGED, row, changed=changed)
        return _connection(row)

    def _record(self, action: Action, row: ConnectionRow, **detail: object) -> None:
        record(self._session, action, row.id, Owner(row.tenant_id), name=row.name, **detail)

    def _store_credential(self, row: ConnectionRow, credential: Credential) -> None:
        url = _url(row)
        if not url.takes_credential:
            raise InvalidValue(field="credential", problem=f"{url.scheme} must have none here")
        origin = origin_text(url.origin)
        plain = json.dumps([credential.username, credential.password])
        row.credential = self._sealer.seal(plain, _purpose(row.id, origin))
        row.credential_origin = origin


def origin_text(origin: Origin) -> str:
    """An origin as text, ``https://host:443``."""
    host = f"[{origin.host}]" if ":" in origin.host else origin.host
    return f"{origin.scheme}://{host}:{origin.port}"


def host_of(url: RemoteUrl) -> str | None:
    """Return the host of a repository, with its port, as ``host:443``; None: it is a path."""
    origin = url.origin
    return f"{origin.host}:{origin.port}" if origin.host else None


def _purpose(connection_id: UUID, origin: str) -> str:
    return f"credential {connection_id} {origin}"


def _webhook_purpose(connection_id: UUID) -> str:
    return f"webhook {connection_id}"


def _url(row: ConnectionRow) -> RemoteUrl:
    # The operator's choice of schemes may have changed since: it is judged where it is used.
    # Parameters, which addresses once could have, may be a secret: they are not shown again.
    return RemoteUrl.parse(re.split("[?#]", row.url)[0], ALL_SCHEMES)


def _connection(row: ConnectionRow) -> Connection:
    origin = row.credential_origin
    return Connection(
        id=row.id,
        tenant_id=row.tenant_id,
        name=row.name,
        provider=Provider(row.provider),
        url=_url(row),
        config=row.config,
        credential_origin=None if origin is None else RemoteUrl.parse(origin, ALL_SCHEMES).origin,
        has_webhook_secret=row.webhook_secret is not None,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )
