"""Conflicts settled on the page: what the preview shows is what is pulled."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import pytest

from tests.server.page.browser import HtmlPage, PageClient
from towline.errors import InvalidTree
from towline.model import AssetId, AssetPath
from towline.options import Side
from towline.remotes.git import GitRemote
from towline.resolve import plan_conflicts
from towline_server.auth.roles import Role
from towline_server.page.choosing import _with_line_ends
from towline_server.runs.conflicts import Choice, Conflicts

BASE = {"items": [{"id": "a", "n": 1}, {"id": "b", "n": 1}], "x": 1, "y": 1}
OURS = {"items": [{"id": "a", "n": 2}, {"id": "b", "n": 1}], "x": 2, "y": 1}
THEIRS = {"items": [{"id": "a", "n": 3}, {"id": "b", "n": 1}], "x": 3, "y": 3}
TEXT = "one\n\nmiddle\n\nlast\n"


@dataclass
class Settling:
    """A project in which both sides changed an asset of JSON and one of text."""

    site: PageClient
    there: dict[str, bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.at = f"{self.site.url}/conflicts"

    def begin(
        self,
        before: Mapping[str, bytes],
        ours: Mapping[str, bytes | None],
        theirs: Mapping[str, bytes | None],
    ) -> None:
        """Pull, edit here, push there and fetch; None deletes."""
        tenant, project = self.site.tenant, self.site.project
        self.there = dict(before)
        tenant.repository.commit(self.there)
        self.pull()
        store = tenant.store(project)
        for path, content in ours.items():
            if content is None:
                store.delete(AssetId(self.id_of(path)))
            else:
                store.put(AssetPath(path), content)
        for path, content in theirs.items():
            self.there.pop(path, None)
            if content is not None:
                self.there[path] = content
        tenant.repository.commit(self.there)
        self.fetch()
        self.site.sign_in(self.site.keys[Role.WRITER])

    def begin_with_renames(self) -> bytes:
        """Rename one asset on both sides, to here.txt and to there.txt; its content."""
        content = b"".join(b"line %d\n" % number for number in range(20))
        old = "rules/old.txt"
        self.begin({old: content}, {}, {old: None, "rules/there.txt": content})
        store = self.site.tenant.store(self.site.project)
        store.move(AssetId(self.id_of(old)), AssetPath("rules/here.txt"))
        return content

    def fetch(self) -> None:
        self.site.services.plans.status(self.site.project.id, fresh=True)

    @property
    def saved(self) -> list[str]:
        """The paths of the assets for which a choice is saved."""
        return [each.path for each in self.conflicts.saved]

    @property
    def conflicts(self) -> Conflicts:
        return self.site.services.plans.conflicts(self.site.project.id)

    def link(self, path: str) -> str:
        """The page of the conflict that an asset of a path is in."""
        [asset_id] = [
            party.asset_id
            for conflict in self.conflicts.conflicts
            for party in conflict.parties
            if party.path == path
        ]
        return f"{self.at}/asset?id={quote(asset_id, safe='')}"

    def push(self, path: str, content: bytes) -> None:
        # A commit has the whole tree.
        self.there = {**self.there, path: content}
        self.site.tenant.repository.commit(self.there)

    def pull(self) -> None:
        self.site.services.runs.request(self.site.project.id)
        self.site.runner.work()

    def page(self, path: str) -> HtmlPage:
        link = self.link(path)
        assert link in self.site.get(self.at).links
        return self.site.get(link)

    def id_of(self, path: str) -> str:
        with self.site.tenant.store(self.site.project).snapshot() as ours:
            record = ours.at(AssetPath(path))
        assert record is not None
        return str(record.id)

    def preview(self, path: str, status: int = 200, **choice: Any) -> HtmlPage:
        """What the page shows of a choice."""
        return HtmlPage(
            self.site.send(self.page(path), f"{self.at}/preview", status, **choice).text
        )

    def settle(self, path: str, **choice: Any) -> HtmlPage:
        """Preview a choice and keep it; the preview."""
        shown = self.preview(path, **choice)
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
def empty(site: PageClient) -> Settling:
    """A project without conflicts, so far."""
    return Settling(site)


@pytest.fixture
def settling(empty: Settling) -> Settling:
    empty.begin(
        {"rules/a.json": json.dumps(BASE).encode(), "rules/t.txt": TEXT.encode()},
        {
            "rules/a.json": json.dumps(OURS).encode(),
            "rules/t.txt": TEXT.replace("one", "1").replace("last", "5").encode(),
        },
        {
            "rules/a.json": json.dumps(THEIRS).encode(),
            "rules/t.txt": TEXT.replace("one", "eins").replace("last", "ende").encode(),
        },
    )
    return empty


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
    bad = settling.preview("rules/a.json", 400, how="content", content="{")
    assert "is no longer valid JSON" in bad.text
    assert f"{settling.at}/keep" not in bad.actions
    settling.settle("rules/a.json", how="content", content='{\r\n"x": 9}')
    settling.settle("rules/t.txt", how="theirs")
    settling.pull()
    assert settling.content("rules/a.json") == b'{\n"x": 9}'
    assert b"ende" in settling.content("rules/t.txt")


def test_a_conflict_that_moved_meanwhile_is_not_settled(settling: Settling):
    seen = settling.preview("rules/t.txt", how="theirs")
    settling.push("rules/t.txt", b"again\n")
    settling.fetch()
    refused = settling.site.send(seen, f"{settling.at}/keep", 409)
    assert "theirs has changed" in refused.text
    assert settling.saved == []


def test_all_of_a_list_take_a_side_and_one_is_cleared(settling: Settling):
    site, action = settling.site, f"{settling.at}/choose"
    filtered = site.get(f"{settling.at}?q=t.txt")
    site.send(filtered, f"{action}?q=t.txt", scope="all", side="theirs")
    assert settling.saved == ["rules/t.txt"]
    site.send(site.get(settling.at), action, scope="all", side="theirs")
    assert sorted(settling.saved) == ["rules/a.json", "rules/t.txt"]
    site.send(settling.page("rules/a.json"), f"{settling.at}/clear")
    assert settling.saved == ["rules/t.txt"]


def boxes(page: HtmlPage) -> list[str]:
    """The values of the checkboxes of assets."""
    return [
        given["value"] for tag, given in page.tags if tag == "input" and given.get("name") == "id"
    ]


def test_the_selected_assets_take_a_side(settling: Settling):
    page = settling.site.get(settling.at)
    [box] = [each for each in boxes(page) if each.startswith(settling.id_of("rules/a.json"))]
    none = settling.site.send(page, f"{settling.at}/choose", 400, side="ours")
    assert "select some first" in none.text
    settling.site.send(page, f"{settling.at}/choose", side="ours", id=[box])
    assert settling.saved == ["rules/a.json"]


@pytest.mark.parametrize("scope", ["selected", "all"])
def test_a_list_that_has_changed_since_it_was_seen_is_shown_again(settling: Settling, scope: str):
    page = settling.site.get(settling.at)
    settling.push("rules/t.txt", b"again\n")
    settling.fetch()
    refused = settling.site.send(
        page, f"{settling.at}/choose", 409, side="theirs", scope=scope, id=boxes(page)
    )
    assert "have changed since you saw them" in refused.text
    assert settling.saved == []
    settling.site.send(HtmlPage(refused.text), f"{settling.at}/choose", side="theirs", scope="all")
    assert len(settling.saved) == 2


def test_a_list_is_sent_again_only_once_it_has_changed(settling: Settling):
    page = settling.site.get(settling.at)
    [poll] = [given["hx-get"] for tag, given in page.tags if given.get("id") == "list"]
    assert settling.site.client.get(poll).status_code == 204
    settling.settle("rules/t.txt", how="ours")
    assert settling.site.client.get(poll).status_code == 200


def test_a_choice_is_saved_with_one_plan(settling: Settling, monkeypatch: pytest.MonkeyPatch):
    shown = settling.preview("rules/t.txt", how="ours")
    planned, plan = [], settling.site.services.plans.conflicts

    def counted(*given: Any, **rest: Any) -> Conflicts:
        planned.append(given)
        return plan(*given, **rest)

    monkeypatch.setattr(settling.site.services.plans, "conflicts", counted)
    settling.site.send(shown, f"{settling.at}/keep")
    assert len(planned) == 1
    settling.site.send(
        settling.site.get(settling.at), f"{settling.at}/choose", scope="all", side="ours"
    )
    assert len(planned) == 3


def test_a_reader_sees_a_conflict_without_choices(settling: Settling):
    settling.site.sign_in(settling.site.keys[Role.READER])
    page = settling.page("rules/a.json")
    assert "/items/[id=a]/n" in page.text
    assert not [each for each in page.actions if "conflicts" in each]


# --- every sort of conflict -----------------------------------------------------------------------


def test_what_one_side_deleted_and_the_other_edited(empty: Settling):
    paths = ("rules/here.txt", "rules/there.txt")
    empty.begin(
        dict.fromkeys(paths, b"before\n"),
        {"rules/here.txt": None, "rules/there.txt": b"ours\n"},
        {"rules/here.txt": b"theirs\n", "rules/there.txt": None},
    )
    shown = empty.settle("rules/there.txt", how="theirs")
    assert "The asset is deleted." in shown.text
    shown = empty.settle("rules/here.txt", how="theirs")
    assert "+theirs" in shown.text
    empty.pull()
    assert empty.site.tenant.contents(empty.site.project) == {"rules/here.txt": b"theirs\n"}


def test_what_both_sides_added_is_settled_by_an_edited_content(empty: Settling):
    empty.begin({"rules/x": b"x"}, {"rules/new.txt": b"ours\n"}, {"rules/new.txt": b"theirs\n"})
    empty.settle("rules/new.txt", how="content", content="both\r\n")
    empty.pull()
    assert empty.site.tenant.contents(empty.site.project)["rules/new.txt"] == b"both\n"


def test_two_renames_of_one_asset_are_settled_by_a_side(empty: Settling):
    empty.begin_with_renames()
    page = empty.site.get(empty.link("rules/here.txt"))
    assert 'name="content"' not in str(page.tags)
    empty.settle("rules/here.txt", how="theirs")
    empty.pull()
    assert list(empty.site.tenant.contents(empty.site.project)) == ["rules/there.txt"]


@pytest.mark.parametrize(
    ("theirs", "size"), [(b"\0\1\2", 3), (b"line\n" * 300_000, 1_500_000)], ids=["binary", "large"]
)
def test_a_content_that_no_page_shows_is_settled_by_a_side(
    empty: Settling, theirs: bytes, size: int
):
    empty.begin({"rules/x.bin": b"\0"}, {"rules/x.bin": b"\0ours"}, {"rules/x.bin": theirs})
    shown = empty.settle("rules/x.bin", how="theirs")
    assert f"Content of {size} bytes, which is not shown here." in shown.text
    empty.pull()
    assert empty.content("rules/x.bin") == theirs


def test_a_content_that_is_not_at_hand_has_no_size(empty: Settling):
    large = b"x" * (5 << 20)
    empty.begin({"rules/x.bin": b"\0"}, {"rules/x.bin": b"\0ours"}, {"rules/x.bin": large})
    shown = empty.preview("rules/x.bin", how="theirs")
    assert "Content, which is not shown here." in shown.text


def test_of_many_places_the_first_are_chosen_one_by_one_and_the_rest_together(empty: Settling):
    def document(value: int) -> bytes:
        return json.dumps({f"f{number:03}": value for number in range(120)}).encode()

    path = "rules/many.json"
    empty.begin({path: document(0)}, {path: document(1)}, {path: document(2)})
    page = empty.site.get(empty.link(path))
    assert "20 more places clash" in page.text
    missing = empty.preview(path, 400, how="each", rest="theirs")
    assert "place 1" in missing.text
    first: dict[str, Any] = {f"choice-{number}": "ours" for number in range(100)}
    unsaid = empty.preview(path, 400, how="each", **first)
    assert "place 101" in unsaid.text
    empty.settle(path, how="each", rest="theirs", **first)
    again = dict(empty.site.get(empty.link(path)).form(f"{empty.at}/preview").fields)
    assert again["rest"] == "theirs"
    empty.pull()
    merged = list(json.loads(empty.content(path)).values())
    assert merged == [1] * 100 + [2] * 20


def test_an_edit_leaves_the_line_ends_of_every_other_line(empty: Settling):
    before = b"unix\nwindows\r\nold\rlast"
    empty.begin(
        {"rules/ends.txt": before},
        {"rules/ends.txt": before.replace(b"unix", b"ours")},
        {"rules/ends.txt": before.replace(b"unix", b"theirs")},
    )
    text = "both\r\nwindows\r\nnew\r\nold\r\nlast"
    empty.settle("rules/ends.txt", how="content", content=text)
    empty.pull()
    assert empty.content("rules/ends.txt") == b"both\nwindows\r\nnew\r\nold\rlast"


def test_a_history_that_cannot_be_read_leaves_out_who_changed_it(
    settling: Settling, monkeypatch: pytest.MonkeyPatch
):
    """Git's own server sends no malformed commit; others may."""

    def malformed(*_: object) -> None:
        raise InvalidTree(problems=("a commit is malformed",))

    monkeypatch.setattr(GitRemote, "last_change", malformed)
    assert "theirs is from" in settling.page("rules/t.txt").text


def test_who_was_signed_out_meanwhile_loses_no_choice_that_was_saved(settling: Settling):
    settling.settle("rules/t.txt", how="ours")
    page = settling.page("rules/a.json")
    settling.site.client.cookies.clear()
    form = page.form(f"{settling.at}/preview")
    answer = settling.site.client.post(form.action, data=dict(form.fields) | {"how": "ours"})
    assert answer.headers["location"].startswith("/ui/sign-in")
    assert settling.saved == ["rules/t.txt"]


def test_every_choice_names_its_place(settling: Settling):
    page = settling.page("rules/a.json")
    named = [given.get("aria-label") for tag, given in page.tags if given.get("type") == "radio"]
    assert "/items/[id=a]/n: theirs" in named


def test_a_report_links_to_its_conflicts(settling: Settling):
    settling.pull()
    runs = settling.site.get(f"{settling.site.url}/runs").links
    page = settling.site.get(next(each for each in runs if each.startswith("/ui/runs/")))
    [link] = [each for each in page.links if "conflicts?q=rules/a.json" in each.replace("%2F", "/")]
    assert "rules/a.json" in settling.site.get(link).text


def test_the_tab_counts_the_conflicts_that_the_last_run_left(settling: Settling):
    def tab() -> str:
        text = " ".join(settling.site.get(f"{settling.site.url}/history").text.split())
        return text.partition("Assets Conflicts")[2].partition("Plans")[0].strip()

    settling.pull()
    settling.site.sign_in(settling.site.keys[Role.READER])
    assert tab() == "2"
    settling.site.sign_in(settling.site.keys[Role.WRITER])
    for path in ("rules/a.json", "rules/t.txt"):
        settling.settle(path, how="ours")
    settling.pull()
    assert tab() == ""


def test_what_has_not_changed_is_planned_once(settling: Settling, monkeypatch: pytest.MonkeyPatch):
    planned: list[object] = []

    def counted(*given: Any, **rest: Any) -> Any:
        planned.append(given)
        return plan_conflicts(*given, **rest)

    monkeypatch.setattr("towline_server.runs.plans.plan_conflicts", counted)
    settling.site.services.plans.resolve(
        settling.site.project.id, {settling.id_of("rules/t.txt"): Choice(side=Side.OURS)}
    )
    planned.clear()
    assert settling.saved == settling.saved == ["rules/t.txt"]
    assert len(planned) == 1
    settling.site.tenant.edit(settling.site.project, "rules/a.json", b'{"x": 7}')
    settling.push("rules/t.txt", b"again\n")
    assert settling.saved == ["rules/t.txt"]  # nothing was fetched
    assert len(planned) == 2
    settling.fetch()
    assert settling.saved == []
    assert len(planned) == 3


# --- other people, and long files -----------------------------------------------------------------


def test_what_another_person_chose_meanwhile_is_not_overwritten(settling: Settling):
    page = settling.site.get(settling.at)
    shown = settling.preview("rules/t.txt", how="theirs")
    settling.settle("rules/t.txt", how="ours")
    settling.site.send(page, f"{settling.at}/choose", 409, scope="all", side="theirs")
    refused = settling.site.send(shown, f"{settling.at}/keep", 409)
    assert "its saved choice" in refused.text
    [saved] = settling.conflicts.saved
    assert saved.side is Side.OURS


def test_a_rename_is_previewed_and_one_that_moved_again_is_not_saved(empty: Settling):
    content = empty.begin_with_renames()
    shown = empty.preview("rules/here.txt", how="theirs")
    assert "It is renamed to rules/there.txt" in shown.text
    empty.site.tenant.repository.commit({"rules/elsewhere.txt": content})
    empty.fetch()
    empty.site.send(shown, f"{empty.at}/keep", 409)
    assert empty.saved == []


def test_an_empty_content_that_comes_back_is_named(empty: Settling):
    empty.begin({"rules/h.txt": b"before\n"}, {"rules/h.txt": None}, {"rules/h.txt": b""})
    assert "The asset is restored, and is empty." in empty.preview("rules/h.txt", how="theirs").text


def test_a_page_behind_a_form_leads_back_to_the_list(settling: Settling):
    for form in ("preview", "keep", "clear", "choose"):
        answer = settling.site.client.get(f"{settling.at}/{form}?page=2&q=t.txt")
        assert answer.headers["location"] == f"{settling.at}?q=t.txt&page=2"


def test_the_filter_of_a_list_stays_and_no_selection_is_shown_on_it(settling: Settling):
    page, action = settling.site.get(f"{settling.at}?q=t.txt"), f"{settling.at}/choose?q=t.txt"
    none = settling.site.send(page, action, 400, side="ours")
    assert action in HtmlPage(none.text).actions
    sent = settling.site.send(page, action, scope="all", side="ours")
    assert sent.headers["location"] == f"{settling.at}?q=t.txt"


def test_line_ends_of_a_long_file_take_few_comparisons():
    before = "a\r\n" + "\n" * 20_000
    edited = "b\r\n" + "\r\n" * 20_000
    assert _with_line_ends(before, edited) == "b\r\n" + "\n" * 20_000
