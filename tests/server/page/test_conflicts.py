"""Conflicts settled on the page: what the preview shows is what is pulled."""

from __future__ import annotations

import json
from dataclasses import dataclass
from urllib.parse import quote

import pytest

from tests.server.page.browser import HtmlPage, PageClient
from towline.model import AssetPath
from towline_server.auth.roles import Role

BASE = {"items": [{"id": "a", "n": 1}, {"id": "b", "n": 1}], "x": 1, "y": 1}
OURS = {"items": [{"id": "a", "n": 2}, {"id": "b", "n": 1}], "x": 2, "y": 1}
THEIRS = {"items": [{"id": "a", "n": 3}, {"id": "b", "n": 1}], "x": 3, "y": 3}
TEXT = "one\n\nmiddle\n\nlast\n"


@dataclass
class Settling:
    """A project in which both sides changed an asset of JSON and one of text."""

    site: PageClient

    def __post_init__(self) -> None:
        tenant, project = self.site.tenant, self.site.project
        before = {"rules/a.json": json.dumps(BASE).encode(), "rules/t.txt": TEXT.encode()}
        self.there = before
        tenant.repository.commit(before)
        self.pull()
        tenant.edit(project, "rules/a.json", json.dumps(OURS).encode())
        tenant.edit(project, "rules/t.txt", TEXT.replace("one", "1").replace("last", "5").encode())
        self.push("rules/a.json", json.dumps(THEIRS).encode())
        self.push("rules/t.txt", TEXT.replace("one", "eins").replace("last", "ende").encode())
        self.site.services.plans.status(project.id, fresh=True)
        self.site.sign_in(self.site.keys[Role.WRITER])
        self.at = f"{self.site.url}/conflicts"

    def push(self, path: str, content: bytes) -> None:
        # A commit has the whole tree.
        self.there = {**self.there, path: content}
        self.site.tenant.repository.commit(self.there)

    def pull(self) -> None:
        self.site.services.runs.request(self.site.project.id)
        self.site.runner.work()

    def page(self, path: str) -> HtmlPage:
        link = f"{self.at}/asset?id={quote(self.id_of(path), safe='')}"
        assert link in self.site.get(self.at).links
        return self.site.get(link)

    def id_of(self, path: str) -> str:
        with self.site.tenant.store(self.site.project).snapshot() as ours:
            record = ours.at(AssetPath(path))
        assert record is not None
        return str(record.id)

    def settle(self, path: str, **choice: str) -> HtmlPage:
        """Preview a choice and keep it; the preview."""
        sent = self.site.send(self.page(path), f"{self.at}/preview", 200, **choice)
        shown = HtmlPage(sent.text)
        self.site.send(shown, f"{self.at}/keep")
        return shown

    def content(self, path: str) -> bytes:
        store = self.site.tenant.store(self.site.project)
        with store.snapshot() as ours:
            record = ours.at(AssetPath(path))
        assert record is not None
        assert record.ours is not None
        return store.read(record.ours.digest) or b""


@pytest.fixture
def settling(site: PageClient) -> Settling:
    return Settling(site)


def test_a_pull_makes_what_the_preview_showed(settling: Settling):
    places = {"how": "each", "choice-0": "theirs", "choice-1": "ours"}
    fields = settling.settle("rules/a.json", **places)
    lines = settling.settle("rules/t.txt", **places)
    settling.pull()
    merged = settling.content("rules/a.json").decode()
    assert json.loads(merged) == {**THEIRS, "x": 2}
    assert merged in fields.text
    text = settling.content("rules/t.txt").decode()
    assert text == TEXT.replace("one", "eins").replace("last", "5")
    assert text in lines.text


def test_an_edited_content_must_be_of_the_assets_format(settling: Settling):
    action = f"{settling.at}/preview"
    bad = settling.site.send(settling.page("rules/a.json"), action, 400, how="content", content="{")
    assert "is no JSON any more" in bad.text
    assert f"{settling.at}/keep" not in HtmlPage(bad.text).actions
    settling.settle("rules/a.json", how="content", content='{\r\n"x": 9}')
    settling.settle("rules/t.txt", how="theirs")
    settling.pull()
    assert settling.content("rules/a.json") == b'{\n"x": 9}'
    assert b"ende" in settling.content("rules/t.txt")


def test_a_conflict_that_moved_meanwhile_is_not_settled(settling: Settling):
    seen = settling.site.send(
        settling.page("rules/t.txt"), f"{settling.at}/preview", 200, how="theirs"
    )
    settling.push("rules/t.txt", b"again\n")
    settling.site.services.plans.status(settling.site.project.id, fresh=True)
    refused = settling.site.send(HtmlPage(seen.text), f"{settling.at}/keep", 409)
    assert "theirs is another content now" in refused.text
    assert not settling.site.services.plans.conflicts(settling.site.project.id).saved


def test_all_of_a_list_take_a_side_and_one_is_cleared(settling: Settling):
    site, plans = settling.site, settling.site.services.plans
    assert (
        site.post(f"{settling.at}/choose?q=t.txt", {"scope": "all", "side": "theirs"}).status_code
        == 303
    )
    assert [each.path for each in plans.conflicts(site.project.id).saved] == ["rules/t.txt"]
    site.send(site.get(settling.at), f"{settling.at}/choose", side="theirs")
    assert len(plans.conflicts(site.project.id).saved) == 2
    site.send(settling.page("rules/a.json"), f"{settling.at}/clear")
    assert [each.path for each in plans.conflicts(site.project.id).saved] == ["rules/t.txt"]


def test_a_reader_sees_a_conflict_without_choices(settling: Settling):
    settling.site.sign_in(settling.site.keys[Role.READER])
    page = settling.page("rules/a.json")
    assert "/items/[id=a]/n" in page.text
    assert not [each for each in page.actions if "conflicts" in each]
