"""Identities: made, changed, and found by their credentials."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from uuid import UUID, uuid4

from sqlalchemy import ColumnElement, delete, select
from sqlalchemy.orm import Session

from towline.errors import InvalidValue
from towline.frozen import frozen
from towline_server.audit.log import Action, Owner, record
from towline_server.db.statements import batches, insert_new
from towline_server.errors import LastAdministrator, NotFound, existing

from .keys import KEY_HINT_LENGTH, new_key, stored_hash
from .passwords import Passwords
from .roles import Owned, Principal, PrincipalKind, Role
from .sessions import Sessions, identity_of
from .tables import GrantRow, IdentityRow

LEAST_PASSWORD = 12
LONGEST_PASSWORD = 1024
LONGEST_EMAIL = 320
EMAIL_PATTERN = r"^[!-9;-~]+@[!-9;-?A-~]+$"
"""What an API takes of the addresses that can log in: ASCII, without a blank or a colon."""


@frozen(kw_only=True)
class Identity:
    """A user, service account or API key of a tenant, as an administrator sees it."""

    id: UUID
    tenant_id: UUID
    kind: PrincipalKind
    name: str
    email: str | None
    subject: str
    """The ``sub`` of its tokens."""
    tenant_role: Role | None
    key_hint: str | None
    expires_at: datetime | None
    disabled_at: datetime | None
    created_at: datetime


@frozen(kw_only=True)
class Account:
    """A principal, and the hash that its password is verified against."""

    principal: Principal
    password_hash: str


class Identities:
    """The identities of a database, through a session that the caller commits."""

    def __init__(
        self,
        session: Session,
        passwords: Passwords,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._session = session
        self._passwords = passwords
        self._now = now

    # --- authenticate -----------------------------------------------------------------------------

    def by_key(self, key: str) -> Principal | None:
        """Return the principal of an API key; None if there is none, or it is no longer valid."""
        return self._principal(IdentityRow.key_sha256 == stored_hash(key))

    def by_subject(self, subject: str) -> Principal | None:
        """Return the principal of a token's ``sub``: a subject that was set, else an id."""
        found = self._principal(IdentityRow.subject == subject)
        if found is not None or (identity_id := _uuid(subject)) is None:
            return found
        # Where a subject was set, the id is none.
        return self._principal(
            IdentityRow.id == identity_id,
            IdentityRow.subject.is_(None),
            IdentityRow.kind != str(PrincipalKind.API_KEY),
        )

    def by_session(self, token: str) -> Principal | None:
        """Return the principal of a browser's session; None: there is none, or it has expired."""
        return self._principal(IdentityRow.id == identity_of(token, self._now()))

    def end_session(self, token: str) -> Identity | None:
        """End a browser's session, and return whose it was; None: there is none any more."""
        row = self._session.scalar(
            select(IdentityRow).where(IdentityRow.id == identity_of(token, self._now()))
        )
        Sessions(self._session, self._now).end(token)
        return None if row is None else _identity(row)

    def by_email(self, email: str) -> Account | None:
        """Return the account that logs in with this address, or None."""
        row = self._row(IdentityRow.email == normal(email))
        if row is None or row.password_hash is None:
            return None
        return Account(principal=self._with_roles(row), password_hash=row.password_hash)

    # --- make and change ----------------------------------------------------------------------

    def create_user(
        self,
        *,
        tenant_id: UUID,
        email: str,
        password: str,
        name: str = "",
        tenant_role: Role | None = None,
        subject: str | None = None,
    ) -> Identity:
        """Create a user. Raises InvalidValue, AlreadyExists."""
        row = self._new(PrincipalKind.USER, tenant_id, name or email, tenant_role, subject)
        self._set_login(row, email, password)
        return self._inserted(row)

    def create_service_account(
        self,
        *,
        tenant_id: UUID,
        name: str,
        login: tuple[str, str] | None = None,
        tenant_role: Role | None = None,
        subject: str | None = None,
    ) -> Identity:
        """Create a service account, with an email and a password if it may log in with them.

        Raises:
            InvalidValue: email or password is not usable.
            AlreadyExists: the email or the subject is taken.
        """
        row = self._new(PrincipalKind.SERVICE_ACCOUNT, tenant_id, name, tenant_role, subject)
        if login is not None:
            self._set_login(row, *login)
        return self._inserted(row)

    def create_key(
        self,
        *,
        tenant_id: UUID,
        name: str,
        tenant_role: Role | None = None,
        expires_at: datetime | None = None,
        key: str | None = None,
    ) -> tuple[Identity, str]:
        """Create an API key, and return it: it cannot be read again.

        A key that is given, as a demo's, is only as secret as its source.
        """
        key = key or new_key()
        row = self._new(PrincipalKind.API_KEY, tenant_id, name, tenant_role)
        row.key_sha256, row.key_hint = stored_hash(key), key[:KEY_HINT_LENGTH]
        row.expires_at = expires_at
        return self._inserted(row), key

    def set_password(self, identity_id: UUID, password: str) -> None:
        """Set the password of an identity that has an email, and end its sessions.

        Raises:
            NotFound, InvalidValue: there is no such identity, or the password is not usable.
        """
        row = self._known(identity_id)
        if row.email is None:
            raise InvalidValue(field="identity", problem="has no email to log in with")
        row.password_hash = self._passwords.hash(_checked_password(password))
        Sessions(self._session, self._now).end_all(identity_id)
        self._session.flush()
        self._record(Action.PASSWORD_CHANGED, row)

    def set_tenant_role(self, identity_id: UUID, role: Role | None) -> Identity:
        """Set or remove its role on the whole tenant. Raises NotFound."""
        row = self._known(identity_id)
        row.tenant_role = None if role is None else str(role)
        self._session.flush()
        self._record(Action.ROLE_CHANGED, row, role=role or "none")
        return _identity(row)

    def check_not_last(self, identity_id: UUID) -> None:
        """Refuse to change the last identity that administers its tenant.

        Those that administer it stay as they are until the end of the transaction.

        Raises:
            NotFound: there is no such identity.
            LastAdministrator: no other one that is valid does.
        """
        identity = IdentityRow
        administer = (
            identity.tenant_id == self._known(identity_id).tenant_id,
            identity.tenant_role == str(Role.ADMIN),
        )
        locked = select(identity).where(*administer).order_by(identity.id).with_for_update()
        found = [row.id for row in self._session.scalars(locked) if self._is_valid(row)]
        if found == [identity_id]:
            raise LastAdministrator

    def disable(self, identity_id: UUID) -> Identity:
        """Refuse its credentials from now on. Raises NotFound."""
        row = self._known(identity_id)
        row.disabled_at = row.disabled_at or self._now()
        self._session.flush()
        self._record(Action.IDENTITY_DISABLED, row)
        return _identity(row)

    def enable(self, identity_id: UUID) -> Identity:
        """Accept its credentials again. Raises NotFound."""
        row = self._known(identity_id)
        row.disabled_at = None
        self._session.flush()
        self._record(Action.IDENTITY_ENABLED, row)
        return _identity(row)

    def grant(self, identity_id: UUID, project: Owned, role: Role) -> None:
        """Set its role on one project of its tenant.

        Raises:
            NotFound: there is no such identity in the project's tenant.
        """
        row = self._known(identity_id)
        if row.tenant_id != project.tenant_id:
            raise NotFound(what="identity")
        grant = GrantRow(identity_id=identity_id, project_id=project.id, role=str(role))
        self._session.merge(grant)
        self._session.flush()
        self._record(Action.ROLE_CHANGED, row, project.id, role=role)

    def revoke(self, identity_id: UUID, project_id: UUID) -> None:
        """Remove its role on one project."""
        grant = GrantRow
        self._session.execute(
            delete(grant).where(grant.identity_id == identity_id, grant.project_id == project_id)
        )
        if (row := self._session.get(IdentityRow, identity_id)) is not None:
            self._record(Action.ROLE_CHANGED, row, project_id, role="none")

    # --- look ---------------------------------------------------------------------------------

    def get(self, identity_id: UUID) -> Identity | None:
        """Return the identity of this id."""
        row = self._session.get(IdentityRow, identity_id)
        return None if row is None else _identity(row)

    def of_tenant(self, tenant_id: UUID) -> tuple[Identity, ...]:
        """Return every identity of a tenant, oldest first."""
        row = IdentityRow
        query = select(row).where(row.tenant_id == tenant_id).order_by(row.created_at, row.id)
        return tuple(_identity(found) for found in self._session.scalars(query))

    def roles(self, identity_id: UUID) -> Mapping[UUID, Role]:
        """Return its roles on single projects, by the project's id."""
        return self.roles_of([identity_id])[identity_id]

    def roles_of(self, identity_ids: Sequence[UUID]) -> Mapping[UUID, Mapping[UUID, Role]]:
        """Return the roles of identities on single projects, by the identity's and project's id."""
        grant = GrantRow
        found: dict[UUID, dict[UUID, Role]] = {each: {} for each in identity_ids}
        for some in batches(identity_ids):
            for row in self._session.scalars(select(grant).where(grant.identity_id.in_(some))):
                found[row.identity_id][row.project_id] = Role(row.role)
        return found

    # --- rows ---------------------------------------------------------------------------------

    def _row(self, *conditions: ColumnElement[bool]) -> IdentityRow | None:
        """Return the one identity that fits and is valid now."""
        row = self._session.scalar(select(IdentityRow).where(*conditions))
        return row if row is not None and self._is_valid(row) else None

    def _is_valid(self, row: IdentityRow) -> bool:
        is_fresh = row.expires_at is None or row.expires_at > self._now()
        return is_fresh and row.disabled_at is None

    def _principal(self, *conditions: ColumnElement[bool]) -> Principal | None:
        row = self._row(*conditions)
        return None if row is None else self._with_roles(row)

    def _with_roles(self, row: IdentityRow) -> Principal:
        return Principal(
            id=row.id,
            tenant_id=row.tenant_id,
            kind=PrincipalKind(row.kind),
            name=row.name,
            tenant_role=None if row.tenant_role is None else Role(row.tenant_role),
            project_roles=self.roles(row.id),
        )

    def _known(self, identity_id: UUID) -> IdentityRow:
        return existing(self._session.get(IdentityRow, identity_id), "identity")

    def _new(
        self,
        kind: PrincipalKind,
        tenant_id: UUID,
        name: str,
        tenant_role: Role | None,
        subject: str | None = None,
    ) -> IdentityRow:
        return IdentityRow(
            id=uuid4(),
            tenant_id=tenant_id,
            kind=str(kind),
            name=name,
            tenant_role=None if tenant_role is None else str(tenant_role),
            subject=subject or None,
            created_at=self._now(),
        )

    def _set_login(self, row: IdentityRow, email: str, password: str) -> None:
        row.email = _checked_email(email)
        row.password_hash = self._passwords.hash(_checked_password(password))

    def _inserted(self, row: IdentityRow) -> Identity:
        insert_new(self._session, row, "identity")
        self._record(_CREATED[PrincipalKind(row.kind)], row, role=row.tenant_role)
        return _identity(row)

    def _record(
        self, action: Action, row: IdentityRow, project_id: UUID | None = None, **detail: object
    ) -> None:
        owner = Owner(row.tenant_id, project_id)
        record(self._session, action, row.id, owner, name=row.name, **detail)


_CREATED = {
    PrincipalKind.USER: Action.USER_CREATED,
    PrincipalKind.SERVICE_ACCOUNT: Action.SERVICE_ACCOUNT_CREATED,
    PrincipalKind.API_KEY: Action.KEY_CREATED,
}


def normal(email: str) -> str:
    """Return an email as it is compared: without regard to case."""
    return email.strip().lower()


def _checked_email(email: str) -> str:
    name, at, host = normal(email).rpartition("@")
    # A colon would end the user name of Basic authentication.
    if not (name and at and host) or ":" in email or not email.isprintable() or " " in email:
        raise InvalidValue(field="email", problem="is not an email address")
    if len(email) > LONGEST_EMAIL:
        raise InvalidValue(field="email", problem="is too long")
    return normal(email)


def _checked_password(password: str) -> str:
    if not LEAST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
        raise InvalidValue(
            field="password", problem=f"needs {LEAST_PASSWORD} to {LONGEST_PASSWORD} characters"
        )
    return password


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def _identity(row: IdentityRow) -> Identity:
    return Identity(
        id=row.id,
        tenant_id=row.tenant_id,
        kind=PrincipalKind(row.kind),
        name=row.name,
        email=row.email,
        subject=row.subject or str(row.id),
        tenant_role=None if row.tenant_role is None else Role(row.tenant_role),
        key_hint=row.key_hint,
        expires_at=row.expires_at,
        disabled_at=row.disabled_at,
        created_at=row.created_at,
    )
