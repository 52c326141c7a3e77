"""The services of the control plane: opened once, shared by every request."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy.orm import Session
from starlette.requests import HTTPConnection

from towline.frozen import frozen

from .auth.authenticator import Authenticator, LoginLimits
from .auth.identities import Identities
from .auth.oidc import OidcProvider
from .auth.passwords import FailureLimit, Passwords
from .auth.sealing import Sealer, load_or_make_key
from .auth.tokens import KeySet, SharedSecret, TokenVerifier, from_file, from_url
from .db import Database, make_engine, upgrade
from .db.failures import FAILURES, is_away, shown
from .db.pools import check_allowed, connections_for
from .errors import Unavailable
from .oidc_settings import OidcSettings
from .projects.connections import Connections
from .runs.event_followers import EventFollowers
from .runs.external import ExternalWork
from .runs.followers import Followers
from .runs.plans import Plans
from .runs.runtime import Runtime
from .runs.service import Runs
from .settings import Settings
from .webhooks.service import Webhooks


@frozen(kw_only=True)
class Services:
    """The settings and what they opened."""

    settings: Settings
    database: Database
    sealer: Sealer
    passwords: Passwords
    authenticator: Authenticator
    oidc: OidcProvider | None = None
    """None: people sign in with a password or a key alone."""
    runtime: Runtime | None = None
    """None in a process that serves no requests, such as an administrator's command."""

    @property
    def runs(self) -> Runs:
        """The runs. Raises Unavailable without a runtime."""
        return self._running().runs

    @property
    def external(self) -> ExternalWork:
        """What external executors do with runs. Raises Unavailable without a runtime."""
        return self._running().external

    @property
    def plans(self) -> Plans:
        """Stored plans, undo, and the status of projects. Raises Unavailable without a runtime."""
        return self._running().plans

    @property
    def followers(self) -> Followers:
        """The followers of runs. Raises Unavailable without a runtime."""
        return self._running().followers

    @property
    def event_followers(self) -> EventFollowers:
        """The followers of projects' events. Raises Unavailable without a runtime."""
        return self._running().event_followers

    def with_runtime(self, runtime: Runtime) -> Services:
        """Return the same services with runs."""
        return replace(self, runtime=runtime)

    def connections(self, session: Session) -> Connections:
        """Return the connections, under the operator's key and schemes."""
        return Connections(session, self.sealer, self.settings.remote_schemes)

    def webhooks(self, session: Session) -> Webhooks:
        """Return the webhooks, under the operator's key and schemes."""
        return Webhooks(session, self.sealer, self.settings.webhook_schemes)

    def identities(self, session: Session) -> Identities:
        """Return the identities, with the hashing of their passwords."""
        return Identities(session, self.passwords)

    def close(self) -> None:
        """Close what was opened."""
        self.database.close()

    def _running(self) -> Runtime:
        if self.runtime is None:
            raise Unavailable(problem="this process has no runs")
        return self.runtime


def open_services(
    settings: Settings, *, runs: int = 0, answers: bool = False, beside: int = 0
) -> Services:
    """Open the database, bring its tables up to date, and load the keys.

    The process executes so many ``runs`` at once, and ``answers`` requests or not; the processes
    that it starts have so many connections ``beside`` its own.

    Raises:
        InvalidValue: the database's URL is not usable.
        InvalidSettings: the database allows fewer connections than are needed.
        Unavailable: the database cannot be reached.
    """
    if settings.is_embedded:
        # It holds password hashes and sealed secrets beside the key that opens them.
        settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    connections = connections_for(runs=runs, answers=answers)
    engine = make_engine(
        settings.database, idle_seconds=settings.idle_seconds, connections=connections
    )
    try:
        check_allowed(engine, connections + beside)
        upgrade(engine)
    except BaseException as error:
        engine.dispose()
        if isinstance(error, FAILURES) and is_away(error):
            raise Unavailable(problem=f"the database cannot be reached: {shown(error)}") from error
        raise
    passwords = Passwords(cache_seconds=settings.password_cache_seconds)
    return assemble(settings, Database(engine), passwords)


def assemble(settings: Settings, database: Database, passwords: Passwords) -> Services:
    """Return the services over a database that is open and up to date."""
    return Services(
        settings=settings,
        database=database,
        sealer=Sealer(_secret_keys(settings)),
        passwords=passwords,
        authenticator=Authenticator(
            database=database,
            passwords=passwords,
            logins=_login_limits(settings),
            tokens=token_verifier(settings),
            operator_token=settings.operator_token.get_secret_value(),
        ),
        oidc=_provider(settings.oidc),
    )


def _provider(settings: OidcSettings) -> OidcProvider | None:
    if not settings.issuer:
        return None
    return OidcProvider(
        issuer=settings.issuer,
        client_id=settings.client_id,
        client_secret=settings.client_secret.get_secret_value(),
        name=settings.name,
    )


def services_of(connection: HTTPConnection) -> Services:
    """Return the services of the application that received a request.

    Raises:
        Unavailable: the application is starting or stopping.
    """
    found: Services | None = getattr(connection.app.state, "services", None)
    if found is None:
        raise Unavailable(problem="the server is starting or stopping")
    return found


def token_verifier(settings: Settings) -> TokenVerifier | None:
    """Return the verifier of tokens under these settings; None if they accept no tokens."""
    keys = _token_keys(settings)
    if keys is None:
        return None
    return TokenVerifier(
        keys=keys,
        issuer=settings.jwt_issuer,
        audience=settings.jwt_audience,
        leeway_seconds=settings.jwt_leeway_seconds,
    )


def _token_keys(settings: Settings) -> SharedSecret | KeySet | None:
    if secret := settings.jwt_hs256_secret.get_secret_value():
        return SharedSecret(secret.encode())
    if settings.jwt_jwks_file is not None:
        return KeySet(from_file(settings.jwt_jwks_file))
    if settings.jwt_jwks_url:
        return KeySet(from_url(settings.jwt_jwks_url))
    return None


def _secret_keys(settings: Settings) -> Sequence[str]:
    given = [key.get_secret_value() for key in settings.secret_keys]
    return given or [load_or_make_key(settings.secret_key_file)]


def _login_limits(settings: Settings) -> LoginLimits:
    allowed, window = settings.login_failures, settings.login_window_seconds
    return LoginLimits(
        account_from_address=FailureLimit(allowed, window),
        account=FailureLimit(10 * allowed, window),
        address=FailureLimit(10 * allowed, window),
    )
