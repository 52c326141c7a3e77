"""Authentication: the principal of a password, an API key or a token."""

from __future__ import annotations

from dataclasses import field
from hmac import compare_digest

from sqlalchemy.orm import Session

from towline.frozen import frozen
from towline_server.audit.actor import identified
from towline_server.db import Database
from towline_server.errors import TooManyRequests, Unauthenticated

from .identities import LONGEST_EMAIL, LONGEST_PASSWORD, Account, Identities, normal
from .passwords import FailureLimit, Passwords
from .roles import OPERATOR, Principal
from .tokens import TokenVerifier


@frozen(kw_only=True)
class LoginLimits:
    """How many wrong passwords are accepted, before right ones are refused as well."""

    account_from_address: FailureLimit
    account: FailureLimit
    """From everywhere: higher, so that a stranger does not easily lock the user out."""
    address: FailureLimit
    """For all accounts: one address that tries many."""

    def begin(self, account: str, address: str) -> list[tuple[FailureLimit, str]]:
        """Count an attempt everywhere.

        Raises:
            TooManyRequests: one of the bounds is reached; the attempt counts nowhere.
        """
        begun: list[tuple[FailureLimit, str]] = []
        for limit, who in (
            (self.account_from_address, f"{account}\n{address}"),
            (self.account, account),
            (self.address, address),
        ):
            try:
                limit.begin(who)
            except TooManyRequests:
                for counted, name in begun:
                    counted.succeeded(name)
                raise
            begun.append((limit, who))
        return begun


@frozen(kw_only=True)
class Authenticator:
    """Verifies passwords, API keys and tokens against the identities of a database."""

    database: Database
    passwords: Passwords
    logins: LoginLimits
    tokens: TokenVerifier | None = None
    """None: this server takes no tokens."""
    operator_token: str = field(default="", repr=False)
    """Empty: this server has no operator that signs in."""

    def by_password(self, email: str, password: str, address: str) -> Principal:
        """Return the user or service account of an email and password.

        Raises:
            Unauthenticated: there is no such account, or the password is wrong.
            TooManyRequests: too many were wrong lately, for this account or from this address.
        """
        if len(email) > LONGEST_EMAIL or len(password) > LONGEST_PASSWORD:
            raise _refused()
        account = self._account(email)
        stored = account.password_hash if account is not None else None
        if not self.passwords.is_remembered(stored, password):
            attempt = self.logins.begin(normal(email), address)
            if not self.passwords.verify(stored, password):
                raise _refused()
            for limit, who in attempt:
                limit.succeeded(who)
        return _identified(None if account is None else account.principal, "password")

    def by_key(self, key: str) -> Principal:
        """Return the principal of an API key. Raises Unauthenticated."""
        with self.database.reading() as session:
            found = self._identities(session).by_key(key)
        return _identified(found, "key")

    def by_session(self, token: str) -> Principal:
        """Return the principal of a browser's session. Raises Unauthenticated."""
        with self.database.reading() as session:
            found = self._identities(session).by_session(token)
        return _identified(found, "session")

    def by_token(self, token: str) -> Principal:
        """Return the user or service account of a token.

        Raises:
            Unauthenticated: the token is not valid, or its subject is unknown.
            Unavailable: the keys that verify it cannot be fetched now.
        """
        if self.tokens is None:
            raise _refused()
        subject = self.tokens.subject(token)
        with self.database.reading() as session:
            found = self._identities(session).by_subject(subject)
        return _identified(found, "token")

    def by_operator_token(self, token: str) -> Principal | None:
        """Return the operator, or None: it is not the operator's token."""
        same = compare_digest(token.encode(), self.operator_token.encode())
        if not same or not self.operator_token:
            return None
        return _identified(OPERATOR, "operator_token")

    def _account(self, email: str) -> Account | None:
        # The session ends before the password is verified: that takes long.
        with self.database.reading() as session:
            return self._identities(session).by_email(email)

    def _identities(self, session: Session) -> Identities:
        return Identities(session, self.passwords)


def _identified(principal: Principal | None, credential: str) -> Principal:
    """Return a principal, who acts from now on in this request. Raises Unauthenticated: None."""
    if principal is None:
        raise _refused()
    actor_id = None if principal is OPERATOR else principal.id
    identified(principal.kind, actor_id, principal.name, credential)
    return principal


def _refused() -> Unauthenticated:
    return Unauthenticated(problem="the credential is not valid")
