"""Every state, without the network, against the last revision that was fetched."""

import pytest

from towline.errors import RemoteUnavailable
from towline.kinds import Kind, Kinds
from towline.limits import Limits
from towline.model import AssetPath, Digest, Revision
from towline.names import NamePolicy
from towline.options import OnConflict, PullOptions, Selection
from towline.ports import Watch
from towline.pull import pull
from towline.remotes.memory import MemoryRemote
from towline.remotes.tree_filter import LFS_PREFIX
from towline.remotes.trees import FileContent, Symlink
from towline.status import Listed, ProjectStatus, State, status, status_json
from towline.stores.memory import MemoryStore
from towline.testing.plans import now

FILES: dict[str, FileContent] = {name: b"base of " + name.encode() for name in "abcdefg"}


class Project:
    """A store and its remote; `there` commits and fetches, `here` edits."""

    def __init__(self, files: dict[str, FileContent], **store: object) -> None:
        self.store = MemoryStore("p", **store)  # type: ignore[arg-type]
        self.remote = MemoryRemote()
        self.files = dict(files)
        self.revision = self.there()
        pull(self.store, self.remote)

    def there(self, **files: FileContent | None) -> Revision:
        changed = {**self.files, **files}
        self.files = {name: content for name, content in changed.items() if content is not None}
        self.remote.commit(self.files)
        self.revision = self.remote.fetch(None, Limits(), Watch())
        return self.revision

    def here(self, **files: bytes | None) -> None:
        for name, content in files.items():
            if content is not None:
                self.store.put(AssetPath(name), content)
            elif (record := now(self.store).at(AssetPath(name))) is not None:
                self.store.delete(record.id)

    def status(self) -> ProjectStatus:
        # A request to the remote would fail.
        self.remote.failure = RemoteUnavailable(url="memory:")
        found = status(self.store, self.remote, self.revision)
        brief = status(self.store, self.remote, self.revision, listed=Listed.CHANGED)
        self.remote.failure = None
        changed = tuple(a for a in found.assets if a.state is not State.UNCHANGED)
        assert (brief.assets, brief.left_out) == (changed, len(found.assets) - len(changed))
        assert brief.unused == found.unused
        return found

    def states(self) -> dict[str, str]:
        return {asset.path: str(asset.state) for asset in self.status().assets}


def test_every_state_is_listed():
    project = Project(FILES)
    project.here(b=b"mine", d=b"mine", f=None, own=b"mine")
    project.there(c=b"theirs", d=b"theirs", e=None, new=b"theirs")
    found = project.status()
    assert found.problem == ""
    assert {asset.path: str(asset.state) for asset in found.assets} == {
        "a": "unchanged",
        "b": "modified-here",
        "c": "modified-there",
        "d": "conflict",
        "e": "deleted-there",
        "f": "deleted-here",
        "g": "unchanged",
        "new": "added-there",
        "own": "local-only",
    }
    assert [asset.path for asset in found.assets] == sorted(asset.path for asset in found.assets)


def test_the_states_of_all_three_sides_come_with_it():
    project = Project(FILES)
    project.here(d=b"mine", own=b"mine")
    project.there(c=b"theirs", d=b"theirs", e=None, new=b"theirs")
    sides = {asset.path: asset.states for asset in project.status().assets}

    def digests(path: str) -> tuple[Digest | None, ...]:
        return tuple(state.digest if state else None for state in sides[AssetPath(path)])

    base = {name: Digest.of(b"base of " + name.encode()) for name in FILES}
    mine, theirs = Digest.of(b"mine"), Digest.of(b"theirs")
    assert digests("a") == (base["a"],) * 3
    assert digests("c") == (base["c"], base["c"], theirs)
    assert digests("d") == (base["d"], mine, theirs)
    assert digests("e") == (base["e"], base["e"], None)
    assert digests("new") == (None, None, theirs)
    assert digests("own") == (None, mine, None)


@pytest.mark.parametrize(
    ("here", "there", "state"),
    [
        (b"x", b"x", "unchanged"),
        (b"x", None, "conflict"),
        (None, b"x", "conflict"),
        (None, None, None),
    ],
    ids=["changed alike", "modify/delete", "delete/modify", "gone on both sides"],
)
def test_what_both_sides_did_to_one_asset(
    here: bytes | None, there: bytes | None, state: str | None
):
    project = Project({"a": b"1", "k": b"k"})
    project.here(a=here)
    project.there(a=there)
    assert project.states().get("a") == state


def test_changes_that_do_not_clash_are_there_to_be_pulled():
    project = Project({"a": b"1"})
    record = now(project.store).at(AssetPath("a"))
    assert record is not None
    project.store.move(record.id, AssetPath("moved"))
    assert project.states() == {"moved": "modified-here"}
    project.there(a=b"2")
    assert project.states() == {"moved": "modified-there"}


def test_an_asset_created_again_where_one_was_deleted_is_listed_once():
    project = Project({"a": b"1"})
    project.here(a=None)
    project.here(a=b"2")
    assert [str(asset.state) for asset in project.status().assets] == ["modified-here"]
    project.here(a=None)
    project.here(a=b"1")
    assert project.states() == {"a": "unchanged"}


def test_parties_of_a_collision_are_in_conflict():
    project = Project({"a": b"1"}, names=NamePolicy.FOLDS_CASE)
    project.here(New=b"mine")
    project.there(new=b"theirs")
    assert project.states() == {"New": "conflict", "a": "unchanged", "new": "conflict"}


def test_skipped_and_unselected_assets_are_listed_again():
    project = Project({"a": b"1", "b": b"1"})
    project.here(a=b"mine")
    project.there(a=b"theirs", b=b"theirs", c=b"theirs")
    options = PullOptions(on_conflict=OnConflict.SKIP, only=Selection(globs=("a",)))
    pull(project.store, project.remote, options=options)
    expected = {
        "a": ("conflict", "conflict"),
        "b": ("behind", "left_out"),
        "c": ("behind", "left_out"),
    }
    for found in (project.status(), status(project.store, None, None)):
        assert {each.path: (each.state, each.behind) for each in found.assets} == expected
    project.here(a=b"theirs", b=b"theirs")
    project.there(c=None)
    assert project.states() == {"a": "unchanged", "b": "unchanged"}


def test_a_skipped_conflict_that_the_repository_ends_is_an_update():
    project = Project({"a.json": b'{"x": 1, "y": 1}'})
    project.here(**{"a.json": b'{"x": 2, "y": 1}'})
    project.there(**{"a.json": b'{"x": 3, "y": 1}'})
    pull(project.store, project.remote, options=PullOptions(on_conflict=OnConflict.SKIP))
    project.there(**{"a.json": b'{"x": 1, "y": 2}'})
    (found,) = project.status().assets
    assert (found.state, found.behind) == ("modified-there", None)


@pytest.mark.parametrize(
    ("there", "reason"),
    [(Symlink("b"), "symlink"), (LFS_PREFIX + b"\noid sha256:0\n", "lfs_pointer")],
)
def test_what_is_no_asset_any_more_is_behind_until_it_is_one_again(there: FileContent, reason: str):
    project = Project({"a": b"1", "b": b"1"})
    project.there(a=there)
    for expected in ("updated", "up-to-date"):
        report = pull(project.store, project.remote)
        assert report.status == expected
        assert [(item.path, item.behind) for item in report.behind] == [("a", reason)]
        assert project.states() == {"a": "behind", "b": "unchanged"}
    project.there(a=b"2")
    assert project.states() == {"a": "modified-there", "b": "unchanged"}
    assert pull(project.store, project.remote).behind == ()
    assert project.states() == {"a": "unchanged", "b": "unchanged"}


def test_added_assets_have_the_id_that_a_pull_gives_them():
    project = Project({"a": b"1"})
    project.there(new=b"theirs")
    planned = {asset.path: asset.asset_id for asset in project.status().assets}
    pull(project.store, project.remote)
    record = now(project.store).at(AssetPath("new"))
    assert record is not None
    assert planned[AssetPath("new")] == record.id


def test_what_would_stop_a_pull_does_not_stop_it():
    project = Project({f"f{number}": b"1" for number in range(5)})
    project.there(**{f"f{number}": None for number in range(5)})
    found = status(
        project.store,
        project.remote,
        project.revision,
        options=PullOptions(limits=Limits(deletes=0)),
    )
    assert {asset.state for asset in found.assets} == {State.DELETED_THERE}
    project.there(**{f"g{number}": b"1" for number in range(9)})
    found = status(
        project.store,
        project.remote,
        project.revision,
        options=PullOptions(limits=Limits(assets=1)),
    )
    assert len(found.assets) == 14


@pytest.mark.parametrize("lost", ["cache", "remote", "revision"])
def test_without_what_was_fetched_the_local_states_are_listed(
    lost: str, monkeypatch: pytest.MonkeyPatch
):
    project = Project(FILES)
    project.here(b=b"mine", f=None, own=b"mine")
    project.there(c=b"theirs", new=b"theirs")
    if lost == "cache":
        project.remote.forget()
        # What is not here is not even asked for.
        monkeypatch.setattr(project.remote, "changes", None)
        monkeypatch.setattr(project.remote, "listing", None)
    found = status(
        project.store,
        None if lost == "remote" else project.remote,
        None if lost == "revision" else project.revision,
    )
    assert {
        asset.path: str(asset.state) for asset in found.assets if asset.state != "unchanged"
    } == {"b": "modified-here", "f": "deleted-here", "own": "local-only"}
    assert found.problem


def test_a_tree_that_is_refused_leaves_the_local_states():
    project = Project({"a": b"1"}, names=NamePolicy.PORTABLE)
    project.here(own=b"mine")
    project.there(nul=b"2")
    assert project.states() == {"a": "unchanged", "own": "local-only"}
    assert "nul" in project.status().problem


def test_what_left_the_kinds_is_no_asset_any_more():
    project = Project({"a.json": b"1", "b.txt": b"1"})
    project.store.set_kinds(Kinds((Kind(name="rule", globs=("*.json",)),)))
    pull(project.store, project.remote)
    assert project.states() == {"a.json": "unchanged"}


def test_before_the_first_pull_all_of_theirs_is_added():
    store, remote = MemoryStore("p"), MemoryRemote()
    store.put(AssetPath("a"), b"1")
    store.put(AssetPath("b"), b"mine")
    remote.commit({"a": b"1", "b": b"2", "c": b"3"})
    revision = remote.fetch(None, Limits(), Watch())
    found = status(store, remote, revision)
    assert {asset.path: str(asset.state) for asset in found.assets} == {
        "a": "unchanged",
        "b": "conflict",
        "c": "added-there",
    }
    assert (found.base, found.revision) == (None, revision)


def test_the_json_form_is_the_interface():
    project = Project({"dir/a": b"1"})
    record = now(project.store).at(AssetPath("dir/a"))
    assert record is not None
    assert status_json(project.status()) == {
        "base": project.revision,
        "revision": project.revision,
        "assets": [
            {
                "asset_id": record.id,
                "path": "dir/a",
                "name": "a",
                "kind": "file",
                "state": "unchanged",
                "resolved": False,
                "renamed_from": None,
                "renamed_there": None,
                "behind": None,
            }
        ],
        "unused": [],
    }
