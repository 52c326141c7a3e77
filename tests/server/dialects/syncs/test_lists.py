"""Lists of syncs come in pages, searched and filtered; catalogs tell what can be pulled."""

from __future__ import annotations

from tests.server.dialects.syncs.office import Office
from towline.testing.plans import now
from towline_server.projects.domain import Provider

# --- list -------------------------------------------------------------------------------------


def test_a_list_comes_in_pages_newest_first(office: Office):
    for number in range(3):
        office.create(name=f"sync {number}")
    page = office.page(limit=2)
    assert [sync["name"] for sync in page["syncs"]] == ["sync 2", "sync 1"]
    assert (page["hasNext"], page["total"], page["limit"], page["offset"]) == (True, 3, 2, 0)
    last = office.page(limit=2, offset=2)
    assert [sync["name"] for sync in last["syncs"]] == ["sync 0"]
    assert (last["hasNext"], last["total"], last["offset"]) == (False, 3, 2)
    assert office.page()["limit"] == 50


def test_a_page_has_1_to_100(office: Office):
    for query in ({"limit": 0}, {"limit": 101}, {"offset": -1}, {"limit": "x"}):
        [(loc, _)] = office.refused(422, "GET", params=query)
        assert loc == ["query", next(iter(query))]


def test_a_list_can_be_searched(office: Office):
    office.create(name="Billing RULES", slug="one")
    office.create(name="tasks 100%", slug="billing_tasks")
    assert office.names(q="rules") == ["Billing RULES"]
    assert office.names(q="BILLING") == ["tasks 100%", "Billing RULES"]
    assert office.names(q="100%") == ["tasks 100%"]
    assert office.names(q="1%0") == []
    assert office.names(q="g_t") == ["tasks 100%"]
    assert office.names(q="s_1") == []
    assert [loc for loc, _ in office.refused(422, "GET", params={"q": "\x00"})] == [["query", "q"]]


def test_a_list_can_be_filtered(office: Office):
    for status in ("draft", "active", "paused", "archived"):
        office.create(name=status, status=status)
    assert office.names(status="active") == ["active"]
    assert office.names(status=["draft", "paused"]) == ["paused", "draft"]
    assert len(office.names(provider=["git", "github"])) == 4
    assert office.names(provider="github") == []
    assert office.names(provider="shopify") == [], "a provider of the public page is no error"
    for name in ("status", "provider"):
        [(loc, _)] = office.refused(422, "GET", params={name: "none"})
        assert loc == ["query", name, 0]


# --- catalog ----------------------------------------------------------------------------------


def test_a_catalog_tells_what_kinds_there_are(office: Office):
    office.done(office.create())
    found = office.ask("catalog", "GET", "/providers/git/catalog")
    assert (found["provider"], found["name"], found["displayName"]) == ("git", "git", "Git")
    assert found["availableResources"] == ["file", "rule", "task"]
    assert found["availableResources"] == found["defaultResources"]
    assert found["dynamicResources"] is True
    assert {each["storageKind"] for each in found["resources"]} == {"sqlite"}
    assert {each["sizeClass"] for each in found["resources"]} == {"xs"}
    assert found["defaults"]["executionMode"] == "sequential"


def test_a_catalog_counts_assets(office: Office):
    office.world.commit(**{f"rules__{number}": b"1" for number in range(11)})
    office.done(office.create())
    found = office.ask("catalog", "GET", "/providers/git/catalog")
    sizes = {each["entityKey"]: each["sizeClass"] for each in found["resources"]}
    assert sizes == {"file": "xs", "rule": "s", "task": "xs"}
    store = office.world.store(office.project)
    store.delete(next(record.id for record in now(store).records() if record.ours is not None))
    found = office.ask("catalog", "GET", "/providers/git/catalog")
    assert {each["sizeClass"] for each in found["resources"]} == {"xs"}


def test_every_git_host_has_a_catalog(office: Office):
    for provider in Provider:
        found = office.ask("catalog", "GET", f"/providers/{provider}/catalog")
        assert found["provider"] == provider
        properties = found["configSchema"]["properties"]
        assert {"url", "credential"} <= set(properties)
        signs = provider not in (Provider.GIT, Provider.AZURE_DEVOPS)
        assert ("webhook" in properties) is signs
        assert (found["resources"] == []) is (provider is not Provider.GIT)


def test_the_seed_s_own_providers_are_not_pulled_from(office: Office):
    for provider in ("shopify", "s3", "bullhorn", "postgres"):
        found = office.refused(404, "GET", f"/providers/{provider}/catalog")
        assert found == [([], "no such provider")]


def test_any_other_provider_is_refused(office: Office):
    [(loc, _)] = office.refused(422, "GET", "/providers/none/catalog")
    assert loc == ["path", "provider"]
