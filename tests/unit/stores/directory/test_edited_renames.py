"""Pulls, statuses and undos of a folder in which files were renamed and edited."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.unit.stores.later_disk import LaterDisk
from towline import (
    AssetId,
    AssetPath,
    DirectoryStore,
    Kind,
    Kinds,
    MemoryRemote,
    PullOptions,
    Renames,
    Report,
    plan_pull,
    pull,
    undo,
)
from towline.content import similarity
from towline.limits import Limits
from towline.ports import Watch
from towline.report import report_of
from towline.status import status
from towline.stores.directory import edited_renames

BASE = b"".join(b"line %d\n" % number for number in range(20))
OURS = BASE.replace(b"line 1\n", b"ours\n")
THEIRS = BASE.replace(b"line 18\n", b"theirs\n")
BOTH = OURS.replace(b"line 18\n", b"theirs\n")
JSON = Kinds(kinds=(Kind(name="flow", globs=("*.json",), id_pointer="/id"),))


class Project:
    """A folder that was pulled from a remote."""

    def __init__(self, folder: Path, files: Mapping[str, bytes], kinds: Kinds | None) -> None:
        self.remote = MemoryRemote()
        self.store = DirectoryStore.create(folder, project="p", kinds=kinds, disk=LaterDisk)
        self.theirs(files)
        self.pull()
        self.ids = {asset.path: asset.asset_id for asset in self.status().assets}

    def theirs(self, files: Mapping[str, bytes]) -> None:
        self.remote.commit({"other": b"1", **files})
        self.revision = self.remote.fetch(None, Limits(), Watch())

    def here(self, files: Mapping[str, bytes | None]) -> None:
        for path, content in files.items():
            place = self.store.root / path
            if content is None:
                place.unlink()
            else:
                place.parent.mkdir(exist_ok=True)
                place.write_bytes(content)

    def pull(self, **options) -> Report:
        return pull(self.store, self.remote, PullOptions(**options))

    def status(self, **options):
        return status(self.store, self.remote, self.revision, options=PullOptions(**options))

    def files(self) -> dict[str, bytes]:
        found = self.store.root.rglob("*")
        return {
            str(path.relative_to(self.store.root)): path.read_bytes()
            for path in found
            if path.is_file() and ".towline" not in path.parts and path.name != "other"
        }

    def asset(self, path: str) -> AssetId | None:
        with self.store.snapshot() as snapshot:
            record = snapshot.at(AssetPath(path))
        return None if record is None else record.id


@pytest.fixture
def project(tmp_path):
    made: list[Project] = []

    def project(files: Mapping[str, bytes], kinds: Kinds | None = None) -> Project:
        made.append(Project(tmp_path / str(len(made)), files, kinds))
        return made[-1]

    yield project
    for each in made:
        each.store.close()


@pytest.mark.parametrize("asked", ["status", "dry run", "pull"])
def test_edits_of_theirs_are_merged_into_what_was_renamed_and_edited_here(project, asked):
    at = project({"a": BASE})
    at.here({"a": None, "d/b": OURS})
    at.theirs({"a": THEIRS})
    if asked == "status":
        (asset,) = [asset for asset in at.status().assets if asset.path != "other"]
        assert (asset.asset_id, asset.path, asset.renamed_from) == (at.ids["a"], "d/b", "a")
        assert (asset.state, asset.is_edited_here) == ("modified-there", True)
    if asked == "dry run":
        (item,) = report_of(plan_pull(at.store, at.remote)).updated
        assert (item.asset_id, item.path, item.merged) == (at.ids["a"], "d/b", True)
    assert [item.asset_id for item in at.pull().updated] == [at.ids["a"]]
    assert at.files() == {"d/b": BOTH}
    assert at.pull().status == "up-to-date"
    undo(at.store)
    assert at.files() == {"d/b": OURS}
    assert at.asset("d/b") == at.ids["a"]


@pytest.mark.parametrize(
    ("theirs", "kinds", "after"),
    [
        ({}, ["modify/delete"], {"b": OURS}),
        ({"c": THEIRS}, ["rename/rename"], {"b": OURS}),
        ({"b": THEIRS}, [], {"b": BOTH}),
        ({"a": BASE}, [], {"b": OURS}),
        ({"a": BASE, "b": b"another\n"}, ["add/add"], {"b": OURS}),
    ],
)
def test_what_theirs_did_meets_the_renamed_asset(project, theirs, kinds, after):
    at = project({"a": BASE})
    at.here({"a": None, "b": OURS})
    at.theirs(theirs)
    assert [conflict.kind for conflict in at.pull().conflicts] == kinds
    assert at.files() == after


def test_a_new_file_of_theirs_is_not_put_over_a_renamed_one(project):
    # Here theirs changed nothing at the old path: only the new path is looked up.
    at = project({"a": BASE})
    at.here({"a": None, "b": OURS})
    at.theirs({"a": BASE, "b": OURS})
    at.pull()
    assert at.files() == {"b": OURS}


def test_an_embedded_id_says_which_file_it_is_whatever_else_changed(project):
    flow, other = b'{"id": "f-1", "steps": []}\n', b'{"id": "f-2", "steps": []}\n'
    at = project({"a.json": flow, "b.json": other}, JSON)
    edited = b'{"steps": [%s], "id": "f-1"}\n' % b", ".join(b'"new %d"' % n for n in range(50))
    at.here({"a.json": None, "b.json": None, "c.json": edited, "d.json": other + b"\n"})
    at.theirs({"a.json": flow.replace(b"{", b'{"name": "x", '), "b.json": other})
    at.pull(renames=Renames.EXACT)
    assert at.asset("c.json") == at.ids["a.json"]
    assert at.asset("d.json") == at.ids["b.json"]
    assert b'"name": "x"' in at.files()["c.json"]
    assert b'"new 49"' in at.files()["c.json"]


def test_files_that_share_an_id_or_have_another_one_are_not_it(project):
    flow = b'{"id": "f-1", "steps": ["one", "two", "three"]}\n'
    at = project({"a.json": flow}, JSON)
    at.here({"a.json": None, "b.json": flow + b"\n", "c.json": flow + b"\n\n"})
    assert [asset.state for asset in at.status().assets] == ["deleted-here", *["local-only"] * 2]
    at.here({"b.json": flow.replace(b"f-1", b"f-3"), "c.json": None})
    assert [asset.state for asset in at.status().assets] == ["deleted-here", "local-only"]


@pytest.mark.parametrize(
    "here",
    [
        {"a": None, "b": OURS, "c": OURS + b"c\n"},
        {"a": None, "a2": None, "b": OURS},
        {"a": None, "b": b"nothing of it\n" * 20},
        {"a": None, "b": b""},
    ],
)
def test_what_is_ambiguous_or_unlike_is_no_rename(project, here):
    at = project({"a": BASE, "a2": BASE + b"2\n"})
    at.here(here)
    states = {asset.path: asset.state for asset in at.status().assets}
    assert states["a"] == "deleted-here"
    assert all(states[path] == "local-only" for path in here if here[path] is not None)


@pytest.mark.parametrize("mode", [Renames.EXACT, Renames.OFF])
def test_without_similarity_it_is_a_deletion_and_a_new_file(project, mode):
    at = project({"a": BASE})
    at.here({"a": None, "b": OURS})
    at.theirs({"a": THEIRS})
    assert [c.kind for c in at.pull(renames=mode).conflicts] == ["delete/modify"]
    assert at.asset("b") != at.ids["a"]


def test_a_link_is_no_new_file(project, tmp_path):
    at = project({"a": BASE})
    (tmp_path / "outside").write_bytes(OURS)
    at.here({"a": None})
    (at.store.root / "b").symlink_to(tmp_path / "outside")
    at.theirs({"a": THEIRS})
    assert [conflict.kind for conflict in at.pull().conflicts] == ["delete/modify"]


def test_it_is_the_same_asset_when_it_comes_back_to_its_path(project):
    at = project({"a": BASE})
    at.here({"a": None, "b": OURS})
    at.status()
    at.here({"b": None, "a": b"all new\n"})
    assert {asset.path: asset.asset_id for asset in at.status().assets} == at.ids


def test_contents_are_compared_only_where_one_is_gone_and_another_is_new(project, monkeypatch):
    compared: list[bytes] = []
    counts = similarity.span_counts

    def span_counts(content):
        compared.append(content)
        return counts(content)

    monkeypatch.setattr(similarity, "span_counts", span_counts)
    at = project({"a": BASE, "b": BASE + b"b\n"})
    at.theirs({"a": THEIRS, "b": BASE})
    at.here({"a": None})
    at.status()
    at.here({"a": BASE, "c": OURS})
    at.status()
    at.pull()
    assert compared == []
    at.here({"a": None})
    at.status()
    assert sorted(compared) == sorted([THEIRS, OURS])


@pytest.mark.parametrize("limit", ["MAX_CANDIDATES", "MAX_WORK"])
def test_above_a_limit_nothing_is_read(project, monkeypatch, limit):
    at = project({"a": BASE})
    at.here({"a": None, **{f"b{number}": BASE + b"%d" % number for number in range(4)}})
    monkeypatch.setattr(edited_renames, limit, 1)
    with at.store.snapshot() as snapshot:
        snapshot.find_renames(Renames.SIMILAR, lambda _: BASE)
        reads = at.store.disk.counts["read"]
        assert snapshot.with_id(at.ids["a"]).ours is None
        assert at.store.disk.counts["read"] == reads
