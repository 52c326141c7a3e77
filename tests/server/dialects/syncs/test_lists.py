"""Lists of syncs come in pages, searched and filtered; catalogs list what can be pulled."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from jsonschema import Draft202012Validator

from tests.server.dialects.syncs.client import SyncsClient
from towline.testing.plans import now
from towline_server.projects.domain import Provider

# --- list -------------------------------------------------------------------------------------


def test_a_list_comes_in_pages_newest_first(syncs: SyncsClient):
    for number in range(3):
        syncs.create(name=f"sync {number}")
    page = syncs.page(limit=2)
    assert [sync["name"] for sync in page["syncs"]] == ["sync 2", "sync 1"]
    assert (page["hasNext"], page["total"], page["limit"], page["offset"]) == (True, 3, 2, 0)
    last = syncs.page(limit=2, offset=2)
    assert [sync["name"] for sync in last["syncs"]] == ["sync 0"]
    assert (last["hasNext"], last["total"], last["offset"]) == (False, 3, 2)
    assert syncs.page()["limit"] == 50


def test_a_page_has_1_to_100(syncs: SyncsClient):
    for query in ({"limit": 0}, {"limit": 101}, {"offset": -1}, {"limit": "x"}):
        [(loc, _)] = syncs.refused(422, "GET", params=query)
        assert loc == ["query", next(iter(query))]


def test_a_list_can_be_searched(syncs: SyncsClient):
    syncs.create(name="Billing RULES", slug="one")
    syncs.create(name="tasks 100%", slug="billing_tasks")
    assert syncs.names(q="rules") == ["Billing RULES"]
    assert syncs.names(q="BILLING") == ["tasks 100%", "Billing RULES"]
    assert syncs.names(q="100%") == ["tasks 100%"]
    assert syncs.names(q="1%0") == []
    assert syncs.names(q="g_t") == ["tasks 100%"]
    assert syncs.names(q="s_1") == []
    assert [loc for loc, _ in syncs.refused(422, "GET", params={"q": "\x00"})] == [["query", "q"]]


def test_a_list_can_be_filtered(syncs: SyncsClient):
    for status in ("draft", "active", "paused", "archived"):
        syncs.create(name=status, status=status)
    assert syncs.names(status="active") == ["active"]
    assert syncs.names(status=["draft", "paused"]) == ["paused", "draft"]
    assert len(syncs.names(provider=["git", "github"])) == 4
    assert syncs.names(provider="github") == []
    assert syncs.names(provider="shopify") == [], "a provider of the public page is no error"
    for name in ("status", "provider"):
        [(loc, _)] = syncs.refused(422, "GET", params={name: "none"})
        assert loc == ["query", name, 0]


# --- catalog ----------------------------------------------------------------------------------


def test_a_catalog_lists_the_kinds(syncs: SyncsClient):
    syncs.done(syncs.create())
    found = syncs.ask("catalog", "GET", "/providers/git/catalog")
    assert (found["provider"], found["name"], found["displayName"]) == ("git", "git", "Git")
    assert found["availableResources"] == ["file", "rule", "task"]
    assert found["availableResources"] == found["defaultResources"]
    assert found["dynamicResources"] is True
    assert {each["storageKind"] for each in found["resources"]} == {"sqlite"}
    assert {each["sizeClass"] for each in found["resources"]} == {"xs"}
    assert found["defaults"]["executionMode"] == "sequential"


def test_a_catalog_counts_assets(syncs: SyncsClient):
    syncs.tenant.commit(**{f"rules__{number}": b"1" for number in range(11)})
    syncs.done(syncs.create())
    found = syncs.ask("catalog", "GET", "/providers/git/catalog")
    sizes = {each["entityKey"]: each["sizeClass"] for each in found["resources"]}
    assert sizes == {"file": "xs", "rule": "s", "task": "xs"}
    store = syncs.tenant.store(syncs.project)
    store.delete(next(record.id for record in now(store).records() if record.ours is not None))
    found = syncs.ask("catalog", "GET", "/providers/git/catalog")
    assert {each["sizeClass"] for each in found["resources"]} == {"xs"}


def test_every_provider_has_a_catalog(syncs: SyncsClient):
    for provider in Provider:
        found = syncs.ask("catalog", "GET", f"/providers/{provider}/catalog")
        assert found["provider"] == provider
        properties = found["configSchema"]["properties"]
        assert {"url", "credential"} <= set(properties)
        signs = provider.is_git and provider not in (Provider.GIT, Provider.AZURE_DEVOPS)
        assert ("webhook" in properties) is signs
        assert (found["resources"] == []) is (provider is not Provider.GIT)


def test_a_form_can_be_drawn_from_every_catalog(syncs: SyncsClient):
    for provider in Provider:
        schema = syncs.ask("catalog", "GET", f"/providers/{provider}/catalog")["configSchema"]
        Draft202012Validator.check_schema(schema)
        assert schema["properties"]["credential"]["writeOnly"]
        fields = list(_fields(schema))
        assert [name for name, field in fields if not {"title", "description"} <= set(field)] == []
        # What is left out has a default, and a secret is masked.
        forms = [schema, schema["properties"].get("config", {}), schema["properties"]["credential"]]
        required = {name for form in forms for name in form.get("required", ())}
        for name, field in fields:
            assert "default" in field or name in required or name in LEFT_OUT, name
            assert (field.get("format") == "password") is (name == "password")
        [address] = schema["properties"]["url"]["examples"]
        example = {"url": address.replace("https:", "http:")}
        if not provider.is_git:
            example["config"] = schema["properties"]["config"].get("examples", [{}])[0]
        validator = Draft202012Validator(schema)
        assert list(validator.iter_errors(example)) == []
        wrong = {"url": "gopher://x", "credential": {"username": "x"}}
        where = {error.json_path for error in validator.iter_errors(wrong)}
        assert where >= {"$.url", "$.credential"}


LEFT_OUT = ("credential", "username", "config", "webhook")


def _fields(schema: Any) -> Iterator[tuple[str, Any]]:
    """The fields of a form, by name, those of forms inside it too."""
    for name, field in schema.get("properties", {}).items():
        if name not in ("header", "event"):
            yield name, field
        yield from _fields(field)


def test_the_seed_s_own_providers_are_not_pulled_from(syncs: SyncsClient):
    for provider in ("shopify", "netsuite", "bullhorn", "dropbox"):
        found = syncs.refused(404, "GET", f"/providers/{provider}/catalog")
        assert found == [([], "no such provider")]


def test_any_other_provider_is_refused(syncs: SyncsClient):
    [(loc, _)] = syncs.refused(422, "GET", "/providers/none/catalog")
    assert loc == ["path", "provider"]
