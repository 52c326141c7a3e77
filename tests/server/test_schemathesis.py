"""What the OpenAPI document promises, asked of the server by schemathesis with all of its checks.

Every request meets one control plane as it was made, so that no answer hangs on the ones before.
``FUZZ_EXAMPLES`` says how many requests are made up for each operation, beside those that the
document itself gives rise to: `make fuzz-api` asks for many, and each time for others; without it
a few are made up, always the same.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import schemathesis
from hypothesis import HealthCheck
from schemathesis import Case
from schemathesis.config import SchemathesisConfig
from schemathesis.core import NotSet
from schemathesis.core.parameters import ParameterLocation
from schemathesis.core.transport import Response
from schemathesis.specs.openapi.checks import (
    ignored_auth,
    negative_data_rejection,
    positive_data_acceptance,
)
from starlette.types import Receive, Scope, Send

from tests.server import format_strategies
from tests.server.populated import BRANCH, KEY, PUSHED, Populated, populated_server
from towline_server.app import Application, create_app
from towline_server.demo import tenancy
from towline_server.dialects.syncs.domain import DOES_NOT_FIT
from towline_server.settings import Settings

pytestmark = pytest.mark.slow

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "0"))
"""0: a few, and always the same."""
FEW = 3


@dataclass
class LateApplication:
    """The application as schemathesis finds it, before there is a test to serve it."""

    app: Application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self.app(scope, receive, send)
            return
        # Each test starts and ends what it needs by itself.
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})


APPLICATION = LateApplication(create_app(Settings.defaults()))
# The document that is served leaves out bounds that generators of clients cannot take.
APPLICATION.app.openapi_schema = APPLICATION.app.exact_openapi()


def _config() -> SchemathesisConfig:
    schemes = {
        "bearer": {"bearer": tenancy.token()},
        "basic": {"username": tenancy.EMAIL, "password": tenancy.PASSWORD},
        "x_api_key": {"api_key": KEY},
        "nected_api_key": {"api_key": KEY},
        "cookie": {"api_key": KEY},
    }
    by_key = {"auth": {"basic": {"username": KEY, "password": ""}}}
    return SchemathesisConfig.from_dict(
        {
            "generation": {
                "max-examples": EXAMPLES or FEW,
                "deterministic": not EXAMPLES,
                "database": "none",
            },
            # The others are for the long campaign.
            "phases": {} if EXAMPLES else {"coverage": {"unexpected-methods": ["TRACE"]}},
            "auth": {"openapi": schemes},
            # Words of the server's source would be put where the document names a format.
            "analysis": {"constants": {"enabled": False}},
            "operations": [{"include-tag": "Codat", **by_key}],
        }
    )


format_strategies.register()
schema = schemathesis.openapi.from_asgi("/openapi.json", APPLICATION, config=_config())


# --- what there is to be found -----------------------------------------------------------------

BODIES = {
    "run_id": "claimed run",
    "token": "token",
    "connectionId": "connection",
    "connection_id": "connection",
}
LISTS = {"asset_path_list": "path", "use_theirs": "asset in conflict", "entities": "kind"}
"""What there is by a name in a body, alone or in a list."""


@dataclass
class Findable:
    """What requests can find, and the control plane that has it."""

    populated: Populated
    database: Path
    opened: ExitStack = field(default_factory=ExitStack)
    is_new: bool = False
    wants_credentials: bool = False
    """Whether the operation was seen to refuse a caller without a credential."""

    def renew(self) -> None:
        """Put a new copy behind the application."""
        self.opened.close()
        services = self.opened.enter_context(self.populated.copied(self.database))
        APPLICATION.app.state.limits.change(services.settings)
        APPLICATION.app.state.services = services

    def put_into(self, case: Case[Any]) -> None:
        """Ask for what is there, three times of four; what is malformed stays so."""
        body = None if isinstance(case.body, NotSet) else case.body
        about = case.meta.phase.data.description if case.meta is not None else ""
        asked = (about, case.path_parameters, case.query, body)
        if zlib.crc32(repr(asked).encode()) % 4 == 0:
            return
        # What is set is judged again by schemathesis, even if it is the same.
        if case.path_parameters and _is_positive(case, ParameterLocation.PATH):
            case.path_parameters = {
                name: self._known(case.path, name, value)
                for name, value in case.path_parameters.items()
            }
        if "Nected-Branch" in case.headers and _is_positive(case, ParameterLocation.HEADER):
            case.headers["Nected-Branch"] = BRANCH
        if _is_positive(case, ParameterLocation.BODY):
            body = self._with_known(case.path, case.body)
            if body is not case.body:
                case.body = body

    def _known(self, path: str, name: str, value: Any) -> Any:
        return value if (known := self.populated.known(path, name)) is None else known

    def _with_known(self, path: str, body: Any) -> Any:
        if path.startswith("/hooks/"):
            return {"ref": "refs/tags/none", "after": "1" * 40}
        if not isinstance(body, dict) or not {*BODIES, *LISTS, "plan"} & body.keys():
            return body
        ids = self.populated.ids
        known: dict[str, Any] = {name: ids[what] for name, what in BODIES.items()}
        known |= {name: [ids[what]] for name, what in LISTS.items()}
        found = {name: known.get(name, value) if value else value for name, value in body.items()}
        return {**found, **self.populated.completion} if found.get("plan") else found


def _is_positive(case: Case[Any], where: ParameterLocation) -> bool:
    component = case.meta.components.get(where) if case.meta is not None else None
    return component is not None and component.mode.is_positive


# --- refusals of requests that are well-formed --------------------------------------------------


def _native(body: Any) -> bool:
    about = (body.get("code"), body.get("problem"))
    return body.get("code") in _OF_THE_PROJECT or about in _OF_SEVERAL


_OF_THE_PROJECT = {
    "unknown_assets",
    "unknown_kind",
    "unselected_resolutions",
    "no_remote_version",
    "colliding_resolutions",
}
_OF_SEVERAL = {
    # A schema states neither that two lists have nothing in common, nor that of several objects no
    # two have one name; OpenAPI states nothing of two headers at once.
    ("conflicting_resolutions", None),
    ("invalid_value", "a name is used twice"),
    ("invalid_value", "must be *, without If-Match"),
    # The project's kinds, and the connection's address, decide.
    ("invalid_path", "matches no kind of this project"),
    ("invalid_value", "the first name must be the tenant's"),
    ("invalid_value", "a Git host takes none"),
    # The payload is the host's to define.
    ("invalid_value", "is not a push of this host, as JSON"),
}


def _snaplogic(body: Any) -> bool:
    """The envelope holds messages alone (docs/dialects.md: ids of another project are a 400)."""
    messages = [each["message"] for each in body["response_map"]["error_list"]]
    known = (
        "nothing in the project matches",
        "there is no such asset",
        "the asset is not tracked",
        "check the branch, tag or commit",
    )
    return any(each in message for message in messages for each in known)


def _nected(body: Any) -> bool:
    """Nected: a branch that does not exist is a 400; the page knows no 404."""
    return body["code"] in ("BRANCH_NOT_FOUND", "BRANCH_REQUIRED")


def _syncs(body: Any) -> bool:
    """Syncs: the page has 422 alone."""
    return {each["type"] for each in body["detail"]} <= {DOES_NOT_FIT, "conflicting_resolutions"}


FITS_ITS_FORM: Mapping[tuple[str, int], Callable[[Any], bool]] = {
    ("native", 400): _native,
    # A server whose operator configures the backend takes the same request.
    ("native", 422): lambda body: body["type"].endswith(":backend_not_configured"),
    ("native", 412): lambda _body: True,  # what is there is not what If-Match names
    ("SnapLogic", 400): _snaplogic,
    ("Nected", 400): _nected,
    ("Syncs", 422): _syncs,
}
"""By tag and status, whether a refusal is not of the request's form, but of what it meets."""


def _checks_without_premise(case: Case[Any], response: Response) -> list[Any]:
    if _breaks_a_format(case):
        return [positive_data_acceptance, negative_data_rejection]
    if response.status_code < 300:
        return []
    [tag] = case.operation.tags or ["none"]
    of_form = FITS_ITS_FORM.get((tag, response.status_code))
    if of_form is not None and of_form(response.json()):
        return [positive_data_acceptance]
    return []


def _breaks_a_format(case: Case[Any]) -> bool:
    """Whether a string was made to break its format: schemathesis does not know if it does."""
    data = case.meta.phase.data if case.meta is not None else None
    mutations = data.mutations if data is not None else ()
    return any("format" in mutation.keywords for mutation in mutations)


# --- the test -----------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def populated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Populated]:
    """A control plane with everything; its repositories are served."""
    with populated_server(tmp_path_factory.mktemp("populated")) as made:
        yield made


@pytest.fixture
def findable(populated: Populated, tmp_path: Path) -> Iterator[Findable]:
    """What requests can find."""
    findable = Findable(populated, tmp_path / "towline.sqlite")
    yield findable
    APPLICATION.app.state.services = None
    findable.opened.close()


@schema.parametrize()
@hypothesis.settings(
    max_examples=EXAMPLES or FEW,
    derandomize=not EXAMPLES,
    database=None,
    deadline=None,
    # One fixture for all requests of an operation is meant.
    suppress_health_check=list(HealthCheck),
)
def test_the_server_keeps_to_its_document(case: Case[Any], findable: Findable):
    if not findable.is_new:
        findable.renew()
    findable.put_into(case)
    # A host signs what it sends; how is not for the document to say.
    signed = case.path.startswith("/hooks/") and _is_positive(case, ParameterLocation.BODY)
    response = case.call(headers=PUSHED if signed else None)
    without = _checks_without_premise(case, response)
    is_positive = case.meta is not None and case.meta.generation.mode.is_positive
    # As in schemathesis's own command: that an operation wants a credential is asked once.
    if is_positive and findable.wants_credentials:
        without.append(ignored_auth)
    case.validate_response(response, excluded_checks=without)
    findable.wants_credentials |= is_positive and response.status_code < 300
    # A refusal leaves everything as it is.
    findable.is_new = response.status_code >= 400
