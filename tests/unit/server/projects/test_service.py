"""Projects and tenants: made, found, bound."""

from __future__ import annotations

from uuid import uuid4

import pytest
from sqlalchemy import delete

from towline.content_rules import ContentMode
from towline.errors import AlreadyAssociated, InvalidValue, NotAssociated
from towline.kinds import Kind, Kinds
from towline.names import NamePolicy
from towline.options import OnConflict, Renames
from towline_server.auth.roles import Role
from towline_server.errors import AlreadyExists, Ambiguous, NotFound
from towline_server.projects.domain import Binding, ProjectPath, PullSettings, branch_of
from towline_server.projects.service import Projects
from towline_server.projects.tables import ProjectRow, TenantRow
from towline_server.projects.tenants import Tenants


@pytest.fixture
def session(services, demo, other):
    with services.database.writing() as session:
        yield session


@pytest.fixture
def projects(session) -> Projects:
    return Projects(session)


def _another(projects, tenancy, name="two", **options):
    path = f"/{tenancy.name}/space/{name}"
    return projects.create(tenant_id=tenancy.tenant_id, path=path, **options)


def test_a_path_is_three_names():
    path = ProjectPath.parse("/org/My Space/a:b?")
    assert (path, path.org, path.space, path.name) == (
        "org/My Space/a:b?",
        "org",
        "My Space",
        "a:b?",
    )
    assert ProjectPath.parse("org/My Space/a:b?") == path
    for bad in ("", "/", "/a/b", "/a/b/c/d", "/a//c", "//a/b/c", "/a/../c", "/a/b/\n", "/a/b/.git"):
        with pytest.raises(InvalidValue, match="path"):
            ProjectPath.parse(bad)
    with pytest.raises(InvalidValue):
        ProjectPath.parse(f"/a/b/{'c' * 256}")


def test_a_path_is_looked_up_within_its_tenant(demo, other, projects):
    assert projects.by_path(other.tenant_id, "/other/space/project") == other.project
    assert projects.by_path(demo.tenant_id, "/other/space/project") is None


def test_paths_are_case_sensitive(demo, projects):
    assert projects.by_path(demo.tenant_id, "/demo/space/project") == demo.project
    assert projects.by_path(demo.tenant_id, "demo/space/project") == demo.project
    for other in ("/demo/space/Project", "/Demo/space/project", "/demo/Space/project", "x", ""):
        assert projects.by_path(demo.tenant_id, other) is None
    assert _another(projects, demo, "Project").path == "demo/space/Project"


def test_a_project_keeps_what_it_was_made_with(demo, projects):
    kinds = Kinds((Kind(name="pipeline", globs=("*.slp",), id_pointer="/id"),), hidden=True)
    settings = PullSettings(on_conflict=OnConflict.SKIP, content_merge=ContentMode.LINES)
    made = _another(projects, demo, kinds=kinds, names=NamePolicy.PORTABLE, settings=settings)
    found = projects.get(made.id)
    assert found == made
    assert (found.kinds, found.names) == (kinds, NamePolicy.PORTABLE)
    assert found.settings == settings
    settings = PullSettings(renames=Renames.EXACT)
    changed = projects.change(made.id, kinds=Kinds(), settings=settings)
    assert (changed.kinds, changed.settings) == (Kinds(), settings)


def test_a_path_is_taken_once_and_in_its_own_org(demo, projects):
    with pytest.raises(AlreadyExists):
        _another(projects, demo, "project")
    with pytest.raises(InvalidValue, match="tenant"):
        projects.create(tenant_id=demo.tenant_id, path="/elsewhere/space/project")
    with pytest.raises(InvalidValue, match="tenant"):
        projects.create(tenant_id=uuid4(), path="/demo/space/three")


def test_what_failed_leaves_the_session_usable(demo, projects):
    with pytest.raises(AlreadyExists):
        _another(projects, demo, "project")
    assert _another(projects, demo, "three").path == "demo/space/three"


def test_a_project_is_associated_once_and_bound_any_number_of_times(demo, projects):
    binding = Binding(connection_id=demo.connection.id, ref="tags/v1", scope="/sub/folder/")
    with pytest.raises(AlreadyAssociated):
        projects.associate(demo.project.id, binding)
    bound = projects.bind(demo.project.id, binding)
    assert (bound.bound.ref, bound.bound.scope) == ("tags/v1", "sub/folder")
    freed = projects.dissociate(demo.project.id)
    assert freed.binding is None
    with pytest.raises(NotAssociated):
        _ = freed.bound
    assert projects.associate(demo.project.id, binding).bound == bound.bound


def test_no_project_is_bound_to_another_tenants_connection(demo, other, projects):
    for connection_id in (other.connection.id, uuid4()):
        with pytest.raises(NotFound, match="connection"):
            projects.bind(demo.project.id, Binding(connection_id=connection_id))


@pytest.mark.parametrize("ref", ["", "-x", "a..b", "a b", "refs/heads/", "x.lock", "a~1", "@"])
def test_an_illegal_ref_is_refused(ref):
    with pytest.raises(InvalidValue, match="ref"):
        Binding(connection_id=uuid4(), ref=ref)


def test_an_illegal_scope_is_refused():
    with pytest.raises(InvalidValue, match="scope"):
        Binding(connection_id=uuid4(), scope="a/../b")


def test_the_branch_of_a_ref():
    spellings = ["main", "heads/main", "refs/heads/main"]
    assert {branch_of(ref) for ref in spellings} == {"main"}
    assert branch_of("heads/feature/x") == "feature/x"
    assert [branch_of(ref) for ref in ("tags/v1", "refs/tags/v1", "HEAD", "a" * 40)] == [None] * 4


def test_what_is_planned_before_a_change_of_the_project_is_stale(demo, projects, session):
    def fence():
        session.expire_all()
        row = session.get(ProjectRow, demo.project.id)
        return row.fence

    fences = [fence()]
    for change in (
        lambda: projects.bind(demo.project.id, Binding(connection_id=demo.connection.id)),
        lambda: projects.change(demo.project.id, settings=PullSettings(renames=Renames.EXACT)),
        lambda: projects.dissociate(demo.project.id),
    ):
        change()
        fences.append(fence())
    assert fences == sorted(set(fences))


# --- by branch --------------------------------------------------------------------------------


def test_a_branch_finds_the_project_bound_to_it_first(demo, other, projects):
    second = projects.associate(
        _another(projects, demo).id, Binding(connection_id=demo.connection.id, ref="main")
    )
    assert projects.by_branch(demo.tenant_id, "main") == demo.project
    assert projects.by_branch(demo.tenant_id, "Main") is None
    assert projects.by_branch(other.tenant_id, "main") == other.project
    # Bound again to the same branch it stays first; when it leaves, the next one answers.
    projects.bind(demo.project.id, Binding(connection_id=demo.connection.id, scope="sub"))
    assert projects.by_branch(demo.tenant_id, "main").id == demo.project.id
    staging = Binding(connection_id=demo.connection.id, ref="heads/staging")
    projects.bind(demo.project.id, staging)
    assert projects.by_branch(demo.tenant_id, "main") == second
    assert projects.by_branch(demo.tenant_id, "staging").id == demo.project.id
    projects.dissociate(second.id)
    assert projects.by_branch(demo.tenant_id, "main") is None


def test_without_a_branch_the_only_bound_project_is_meant(demo, projects):
    assert projects.by_branch(demo.tenant_id, None) == demo.project
    second = _another(projects, demo)
    assert projects.by_branch(demo.tenant_id, None) == demo.project
    projects.associate(second.id, Binding(connection_id=demo.connection.id, ref="staging"))
    with pytest.raises(Ambiguous):
        projects.by_branch(demo.tenant_id, None)
    projects.dissociate(second.id)
    projects.dissociate(demo.project.id)
    assert projects.by_branch(demo.tenant_id, None) is None


def test_a_branch_no_ref_can_have_is_refused(demo, projects):
    for branch in ("", "a b", "-x", "a..b"):
        with pytest.raises(InvalidValue):
            projects.by_branch(demo.tenant_id, branch)


def test_a_tag_is_no_branch(demo, projects):
    projects.bind(demo.project.id, Binding(connection_id=demo.connection.id, ref="tags/main"))
    assert projects.by_branch(demo.tenant_id, "main") is None


# --- lists ------------------------------------------------------------------------------------


def test_lists_are_by_path_and_of_one_tenant(demo, other, projects):
    for name in ("b", "A", "a"):
        _another(projects, demo, name)
    names = [project.path.name for project in projects.of_tenant(demo.tenant_id)]
    assert names == ["A", "a", "b", "project"]
    elsewhere = projects.create(tenant_id=demo.tenant_id, path="/demo/Space/x")
    assert projects.of_tenant(demo.tenant_id, space="/demo/Space") == (elsewhere,)
    assert projects.of_tenant(demo.tenant_id, space="/demo/spac") == ()
    assert projects.by_connection(demo.connection.id) == (demo.project,)


def test_a_caller_sees_the_projects_it_has_a_role_on(services, session, demo, other, projects):
    _another(projects, demo)
    identities = services.identities(session)

    def seen(key):
        principal = identities.by_key(key)
        found = projects.visible_to(principal)
        assert projects.count_visible_to(principal) == len(found)
        return [str(project.path) for project in found]

    assert seen(demo.keys[None]) == []
    assert seen(demo.keys[Role.READER]) == ["demo/space/project"]
    identities.set_tenant_role(demo.ids[Role.READER], Role.READER)
    assert seen(demo.keys[Role.READER]) == ["demo/space/project", "demo/space/two"]
    whole = identities.by_key(demo.keys[Role.READER])
    page = projects.visible_to(whole, limit=1, offset=1)
    assert [project.path.name for project in page] == ["two"]


def test_deleting_takes_everything_of_it(demo, other, projects, session):
    projects.delete(demo.project.id)
    projects.delete(demo.project.id)
    assert projects.get(demo.project.id) is None
    session.execute(delete(TenantRow).where(TenantRow.id == other.tenant_id))
    assert projects.get(other.project.id) is None
    assert [tenant.name for tenant in Tenants(session).all()] == ["demo"]


def test_unknown_projects_are_not_found(projects):
    for act in (projects.dissociate, projects.change):
        with pytest.raises(NotFound):
            act(uuid4())


def test_tenants_have_names_fit_for_a_path(session):
    tenants = Tenants(session)
    made = tenants.create("My Org")
    assert tenants.named("My Org") == tenants.get(made.id) == made
    assert tenants.named("my org") is None
    with pytest.raises(AlreadyExists):
        tenants.create("My Org")
    for bad in ("", "a/b", "..", "a\n", "x" * 256):
        with pytest.raises(InvalidValue, match="name"):
            tenants.create(bad)
