"""The states of projects and the sessions of browsers, on each engine."""

from __future__ import annotations

from tests.control_plane import cheap_passwords
from tests.server.runs.git_tenant import GitTenant
from tests.server.runs.runner import Runner
from towline_server.auth.identities import Identities
from towline_server.auth.sessions import Sessions
from towline_server.runs.overview import ProjectState, overviews


def test_the_state_of_each_project_in_a_list(tenant: GitTenant):
    tenant.commit(a=b"1")
    pulled, new, unbound = tenant.project(), tenant.project(), tenant.project(bound=False)
    runner = Runner(tenant)
    runner.runs.request(pulled.id)
    runner.work()
    with tenant.database.reading() as session:
        found = overviews(session, [pulled, new, unbound])
    assert [each.state for each in found] == [
        ProjectState.UP_TO_DATE,
        ProjectState.NOT_PULLED,
        ProjectState.NOT_BOUND,
    ]
    assert (found[0].assets, found[0].run is not None) == (1, True)


def test_a_session_is_its_identitys_until_it_ends(tenant: GitTenant):
    with tenant.database.writing() as session:
        identities = Identities(session, cheap_passwords())
        made, _ = identities.create_key(tenant_id=tenant.tenant_id, name="k")
        token = Sessions(session).begin(made.id, 60)
        found = identities.by_session(token)
        assert found is not None
        assert found.id == made.id
        Sessions(session).end(token)
        assert identities.by_session(token) is None
