"""What is particular to a project in a folder; what every store promises is in the contract."""

import os
import sqlite3
import stat
import subprocess
from pathlib import Path

import pytest

from tests.unit.stores.later_disk import LaterDisk
from towline.asset_ids import planned_id
from towline.errors import (
    AlreadyAssociated,
    InvalidPath,
    LinkRefused,
    NotAssociated,
    StalePlan,
    StoreBusy,
    StoreDamaged,
    StoreError,
    UnsafeOwner,
)
from towline.kinds import Kind, Kinds
from towline.model import AssetId, AssetPath, Digest
from towline.names import NamePolicy
from towline.plan import Plan
from towline.ports import Watch
from towline.records import LocalFile
from towline.stores.directory import working_copy
from towline.stores.directory.disk import Disk
from towline.stores.directory.store import DirectoryStore
from towline.testing.plans import (
    KnownContents,
    apply_edits,
    change,
    create,
    delete,
    now,
    plan_of,
    pull_files,
    record_at,
    state_of,
)

P = AssetPath


@pytest.fixture
def store(tmp_path):
    with DirectoryStore.create(tmp_path / "p", project="p") as store:
        yield store


@pytest.fixture
def tmp_path(tmp_path):
    (tmp_path / "p").mkdir()
    return tmp_path


def put(store: DirectoryStore, path: str, content: bytes) -> Path:
    place = store.root / path
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(content)
    return place


@pytest.mark.parametrize(
    "use",
    [
        lambda store: now(store).state(),
        lambda store: now(store).at(P("a")),
        lambda store: store.read(Digest.of(b"1")),
        lambda store: store.set_keep(3),
        lambda store: apply_edits(store, create(store, "a", b"1"), contents=[b"1"]),
    ],
)
def test_a_closed_store_says_so(store, use):
    store.close()
    with pytest.raises(StoreError, match="is closed") as refused:
        use(store)
    assert type(refused.value) is StoreError, "nothing is damaged"


def again(store: DirectoryStore) -> DirectoryStore:
    store.close()
    return DirectoryStore.open(store.root)


# --- creating and opening ---------------------------------------------------------------------


def test_a_folder_is_made_a_project_once(tmp_path):
    root = tmp_path / "p"
    with pytest.raises(NotAssociated):
        DirectoryStore.open(root)
    kinds = Kinds((Kind(name="rule", globs=("rules/*.json",), id_pointer="/id"),))
    with DirectoryStore.create(root, kinds=kinds, keep=7) as store:
        project = store.project
        assert len(project) == 24
    with pytest.raises(AlreadyAssociated):
        DirectoryStore.create(root)
    with DirectoryStore.open(root) as store:
        assert (store.project, store.kinds, store.keep) == (project, kinds, 7)
        assert store.names is NamePolicy.EXACT
        assert store.cache_path == root / ".towline/cache.git"
        assert not store.cache_path.exists()


def test_what_the_folder_holds_is_local(tmp_path):
    put_before = tmp_path / "p/a/b"
    put_before.parent.mkdir()
    put_before.write_bytes(b"1")
    (tmp_path / "p/.env").write_bytes(b"secret")
    with DirectoryStore.create(tmp_path / "p") as store:
        assert [(r.ours and r.ours.path, r.base) for r in now(store).records()] == [("a/b", None)]


def test_kinds_settings_and_lengths_are_stored(store):
    kinds = Kinds((Kind(name="all", globs=("**",)),), hidden=True)
    store.set_kinds(kinds)
    store.set_names(NamePolicy.PORTABLE)
    store.set_keep(3)
    store.set_settings({"url": "https://example.com/r.git", "ref": "main"})
    store.set_setting("ref", None)
    store = again(store)
    assert (store.kinds, store.names, store.keep) == (kinds, NamePolicy.PORTABLE, 3)
    assert store.get_setting("url") == "https://example.com/r.git"
    assert store.get_setting("ref") is None
    store.close()


def test_a_missing_folder_is_the_machines_fault(tmp_path):
    with pytest.raises(StoreError):
        DirectoryStore.open(tmp_path / "nowhere")


@pytest.mark.parametrize("damage", [b"", b"not a database at all, but long enough" * 99])
def test_a_damaged_state_file_is_left_as_it_is(store, damage):
    pull_files(store, a=b"1")
    store.close()
    state = store.root / ".towline/state.db"
    state.write_bytes(damage)
    with pytest.raises(StoreDamaged):
        DirectoryStore.open(store.root)
    assert state.read_bytes() == damage
    with pytest.raises(AlreadyAssociated):
        DirectoryStore.create(store.root)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE meta SET value = '99' WHERE name = 'format'",
        "DELETE FROM meta WHERE name = 'project'",
        "UPDATE meta SET value = '{' WHERE name = 'kinds'",
        "UPDATE meta SET value = '[]' WHERE name = 'state'",
        "DROP TABLE meta",
    ],
)
def test_a_state_file_that_makes_no_sense_is_damaged(store, statement):
    store.close()
    connection = sqlite3.connect(store.root / ".towline/state.db")
    connection.execute(statement)
    connection.commit()
    connection.close()
    with pytest.raises(StoreDamaged):
        DirectoryStore.open(store.root)


def test_a_damaged_page_is_found_when_it_is_read(store):
    pull_files(store, **{f"f{number}": b"1" for number in range(200)})
    store.close()
    state = store.root / ".towline/state.db"
    pages = bytearray(state.read_bytes())
    pages[4096:] = b"\xff" * (len(pages) - 4096)
    state.write_bytes(pages)
    with pytest.raises(StoreDamaged):
        list(now(DirectoryStore.open(store.root)).records())


@pytest.mark.parametrize(
    "name", ["", "/state.db", "/state.db-wal", "/lock", "/journal", "/staged", "/displaced"]
)
def test_its_own_folder_is_never_followed(store, tmp_path, name):
    store.close()
    own, elsewhere = store.root / f".towline{name}", tmp_path / "elsewhere"
    if own.exists():
        own.rename(elsewhere)
    own.symlink_to(elsewhere)
    with pytest.raises(LinkRefused, match=own.name):
        DirectoryStore.open(store.root)
    with pytest.raises(LinkRefused, match=own.name):
        DirectoryStore.create(store.root)


def test_its_own_folder_stays_out_of_a_git_work_tree_around_it(store):
    git = ["git", "-C", str(store.root)]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "add", "-A"], check=True)
    assert subprocess.run([*git, "ls-files"], check=True, capture_output=True).stdout == b""


def test_what_someone_else_made_is_used_only_if_they_are_trusted(store):
    store.close()
    us = os.geteuid()
    with pytest.raises(UnsafeOwner, match=f"belongs to user {us}"):
        DirectoryStore.open(store.root, trusts=lambda owner: owner != us)
    with pytest.raises(UnsafeOwner):
        DirectoryStore.create(store.root, trusts=lambda owner: owner != us)
    DirectoryStore.open(store.root, trusts=lambda owner: owner == us).close()


def test_a_log_file_without_its_state_is_not_taken_for_the_new_ones(store, tmp_path):
    store.set_setting("a", "b")
    log = (store.root / ".towline/state.db-wal").read_bytes()
    assert log
    (tmp_path / "other/.towline").mkdir(parents=True)
    (tmp_path / "other/.towline/state.db-wal").write_bytes(log)
    with DirectoryStore.create(tmp_path / "other") as other:
        assert other.get_setting("a") is None


# --- what is there ----------------------------------------------------------------------------


def test_only_files_of_the_kinds_are_assets(store):
    kinds = Kinds((Kind(name="rule", globs=("*.json",)), Kind(name="flow", globs=("flows/**",))))
    store.set_kinds(kinds)
    for path in ("a.json", "flows/b", "c.txt", ".hidden.json", ".towline/x.json", ".git/y.json"):
        put(store, path, b"1")
    found = {r.ours.path: r.kind for r in now(store).records() if r.ours}
    assert found == {"a.json": "rule", "flows/b": "flow"}
    assert now(store).at(P("c.txt")) is None
    assert now(store).occupants(P("c.txt/d")) == [LocalFile(path=P("c.txt"))]


def test_no_kinds_make_its_own_files_or_gits_assets(store):
    store.set_kinds(Kinds((Kind(name="all", globs=("**",)),), hidden=True))
    for path in (".towline/x", ".git/y", "sub/.git/z", "sub/.towline/z", ".env"):
        put(store, path, b"1")
    assert [r.ours.path for r in now(store).records() if r.ours] == [".env"]
    for path in (".towline/x", ".git/y", "sub/.git/z"):
        assert now(store).at(P(path)) is None


def test_what_is_no_ordinary_file_is_in_the_way_and_no_asset(store):
    pull_files(store, a__b=b"1")
    (store.root / "link").symlink_to("a/b")
    (store.root / "folder").symlink_to("a")
    os.mkfifo(store.root / "pipe")
    for name in ("link", "folder", "pipe"):
        assert now(store).at(P(name)) is None
        assert now(store).occupants(P(name)) == [LocalFile(path=P(name))]
    assert now(store).at(P("folder/b")) is None
    assert now(store).occupants(P("folder/b")) == [LocalFile(path=P("folder"))]
    assert len(list(now(store).records())) == 1


def test_names_that_are_not_utf8_are_in_the_way_and_shown_safely(store):
    folder = os.fsencode(store.root) + b"/d"
    os.mkdir(folder)
    with open(folder + b"/\xff\xfe", "wb"):
        pass
    assert list(now(store).records()) == []
    (found,) = now(store).occupants(P("d"))
    assert found == LocalFile(path=P("d/\ufffd\ufffd"))


def test_a_folder_that_became_a_link_is_not_followed(store, tmp_path):
    pull_files(store, a__b=b"1")
    (store.root / "a").rename(tmp_path / "outside")
    (store.root / "a").symlink_to(tmp_path / "outside")
    record = now(store).aligned_at(P("a/b"))
    assert record is not None
    assert record.ours is None
    with pytest.raises(StalePlan):
        apply_edits(store, create(store, "a/c", b"2"), contents=[b"2"])
    assert os.listdir(tmp_path / "outside") == ["b"]


def test_empty_folders_never_block_and_emptied_ones_go(store):
    pull_files(store, a__b__c=b"1", a__keep=b"2")
    (store.root / "x/y/z").mkdir(parents=True)
    (store.root / "a/empty").mkdir()
    assert now(store).occupants(P("x")) == []
    apply_edits(store, change(store, "a/b/c", to="x"))
    assert (store.root / "x").read_bytes() == b"1"
    assert sorted(os.listdir(store.root / "a")) == ["empty", "keep"]


def test_a_rename_is_found_only_where_it_is_unambiguous(store):
    pull_files(store, a=b"same", b=b"same", c=b"other", d=b"1", e=b"2")
    (store.root / "a").rename(store.root / "a2")
    (store.root / "b").rename(store.root / "b2")
    (store.root / "c").rename(store.root / "c2")
    put(store, "c3", b"other")
    (store.root / "d").rename(store.root / "d2")
    ours = {r.base.path: r.ours and r.ours.path for r in now(store).records() if r.base}
    assert ours == {"a": None, "b": None, "c": None, "d": "d2", "e": "e"}


def test_a_rename_out_of_the_kinds_is_a_deletion(store):
    pull_files(store, a=b"1")
    (store.root / "a").rename(store.root / ".a")
    record = now(store).aligned_at(P("a"))
    assert record is not None
    assert record.ours is None


def test_a_rename_makes_it_of_the_kind_of_its_new_path(store):
    store.set_kinds(Kinds((Kind(name="rule", globs=("r/*",)), Kind(name="file", globs=("**",)))))
    pull_files(store, a=b"1")
    put(store, "r/x", b"")
    (store.root / "a").rename(store.root / "r/a")
    assert record_at(store, "r/a").kind == "rule"
    store = again(store)
    assert record_at(store, "r/a").kind == "rule"
    store.close()


def test_a_missing_file_is_looked_for_once(store):
    pull_files(store, **{name: name.encode() for name in "abcdef"})
    for name in "abc":
        (store.root / name).unlink()
    before = store.disk.counts["list"]
    with store.snapshot() as snapshot:
        for name in "abc":
            record = snapshot.aligned_at(P(name))
            assert record is not None
            assert record.ours is None
    assert store.disk.counts["list"] == before + 1


def test_an_unknown_id_is_looked_for_once_and_odd_ones_never(store):
    for name in ("a", "b"):
        put(store, name, b"1")
    opened = store.disk.counts["list"]
    with store.snapshot() as snapshot:
        assert snapshot.with_id(AssetId("b")) is None
        assert store.disk.counts["list"] == opened
        wanted = planned_id("p", "b", lambda _: False)
        found = snapshot.with_id(wanted)
        assert found is not None
        assert found.ours == state_of("b", b"1")
        assert snapshot.with_id(AssetId("0" * 24)) is None
    assert store.disk.counts["list"] == opened + 1


# --- applying ---------------------------------------------------------------------------------


def test_permissions_are_preserved_and_follow_the_umask(store):
    old = os.umask(0o027)
    try:
        apply_edits(
            store,
            create(store, "a", b"1"),
            create(store, "b", b"2", executable=True),
            contents=[b"1", b"2"],
        )
        (store.root / "a").chmod(0o600)
        apply_edits(store, change(store, "a", b"3", executable=True), contents=[b"3"])
    finally:
        os.umask(old)
    modes = {name: stat.S_IMODE((store.root / name).stat().st_mode) for name in "ab"}
    assert modes == {"a": 0o700, "b": 0o750}


def test_an_edit_made_during_the_apply_is_saved_and_reported(tmp_path):
    class Editing(Disk):
        def step(self, operation, path):
            super().step(operation, path)
            if operation == "rename" and path == "a/b":
                (tmp_path / "p/a/b").write_bytes(b"edited")

    DirectoryStore.create(tmp_path / "p").close()
    with DirectoryStore.open(tmp_path / "p", disk=Editing) as store:
        pull_files(store, a__b=b"1")
        applied = apply_edits(store, change(store, "a/b", b"2"), contents=[b"2"])
        copy = f"a/b.local-{Digest.of(b'edited')[:8]}"
        assert applied.saved == (copy,)
        assert (store.root / copy).read_bytes() == b"edited"
        assert (store.root / "a/b").read_bytes() == b"2"
        assert now(store).at(P(copy)) is None
        assert len(list(now(store).records())) == 1
        assert now(store).occupants(P(copy)) == [LocalFile(path=P(copy))]


def test_someone_else_who_applies_keeps_it_busy(store):
    pull_files(store, a=b"1")
    with DirectoryStore.open(store.root) as other:
        held = other.disk.lock(".towline/lock")
        try:
            plan = plan_of(store, change(store, "a", b"2"))
            with pytest.raises(StoreBusy):
                store.apply(plan, KnownContents(b"2"), Watch())
            with pytest.raises(StoreBusy):
                store.set_setting("a", "b")
            assert record_at(store, "a").ours == state_of("a", b"1"), "looking needs no lock"
            state = now(store).state()
            noop = Plan(project="p", revision=None, before=state, after=state)
            assert store.apply(noop, KnownContents(), Watch()).number is None
        finally:
            assert held is not None
            os.close(held)
        store.apply(plan, KnownContents(b"2"), Watch())


def test_a_rename_that_is_found_while_someone_applies_is_written_down_later(store):
    pull_files(store, a=b"1")
    held = store.disk.lock(".towline/lock")
    (store.root / "a").rename(store.root / "b")
    assert not record_at(store, "b").local_only
    assert not record_at(store, "b").local_only
    os.close(held)
    (store.root / "a").write_bytes(b"2")
    store = again(store)
    assert record_at(store, "a").local_only
    assert not record_at(store, "b").local_only
    store.close()


def test_a_lost_lock_is_noticed(store):
    pull_files(store, a=b"1")
    plan = plan_of(store, change(store, "a", b"2"))

    def usurp():
        connection = sqlite3.connect(store.root / ".towline/state.db")
        connection.execute("UPDATE meta SET value = '7' WHERE name = 'fence'")
        connection.commit()
        connection.close()

    with pytest.raises(StoreBusy):
        store.apply(plan, KnownContents(b"2", on_ask=usurp), Watch())
    assert (store.root / "a").read_bytes() == b"1"
    assert sorted(os.listdir(store.root)) == [".towline", "a"]


@pytest.mark.parametrize("path", ["../out", "/out", "a/../../out", ".towline/state.db", "a//b"])
def test_no_plan_writes_outside_of_the_project(store, tmp_path, path):
    with pytest.raises((StoreError, InvalidPath, StalePlan)):
        apply_edits(store, create(store, path, b"1"), contents=[b"1"])
    assert sorted(os.listdir(tmp_path)) == ["p"]
    assert os.listdir(tmp_path / "p") == [".towline"]


def test_a_name_that_is_too_long_is_refused_before_anything_is_written(store):
    edit = create(store, "a" * 256, b"1")
    with pytest.raises(StoreError, match="too long"):
        apply_edits(store, edit, create(store, "b", b"1"), contents=[b"1"])
    assert os.listdir(store.root) == [".towline"]


@pytest.mark.parametrize("altered", [b"{}", b"[" * 200_000], ids=["empty", "nested"])
def test_an_altered_journal_is_damage(store, altered):
    store.close()
    own = store.root / ".towline"
    (own / "staged").mkdir()
    (own / "journal").write_bytes(altered)
    with pytest.raises(StoreDamaged):
        DirectoryStore.open(store.root)
    assert (own / "journal").read_bytes() == altered


def test_looking_alone_writes_nothing(store):
    pull_files(store, a=b"1", b=b"2")
    store.close()
    with DirectoryStore.open(store.root, disk=LaterDisk) as looking:
        list(now(looking).records())
    own = store.root / ".towline"
    before = {path: path.stat().st_mtime_ns for path in own.iterdir()}
    with DirectoryStore.open(store.root, disk=LaterDisk) as looking:
        state = now(looking).state()
        record_at(looking, "a")
        list(now(looking).lagging())
        noop = Plan(project="p", revision=None, before=state, after=state)
        looking.apply(noop, KnownContents(), Watch())
        assert looking.disk.counts["lock"] == 0
    assert {path: path.stat().st_mtime_ns for path in own.iterdir()} == before


def test_a_folder_that_cannot_be_written_can_be_looked_at(store, monkeypatch):
    pull_files(store, a=b"1")
    put(store, "a", b"2")
    monkeypatch.setattr(Disk, "lock", _refuse)
    assert record_at(store, "a").ours == state_of("a", b"2")
    with pytest.raises(StoreError):
        apply_edits(store, delete(store, "a"))
    store.close()


def _refuse(*_):
    raise PermissionError(13, "Permission denied")


def test_a_content_beyond_the_bound_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(working_copy, "READ_BYTES", 3)
    with DirectoryStore.create(tmp_path / "p", project="p") as store:
        pull_files(store, a=b"old", b=b"1")
        apply_edits(store, change(store, "a", b"long"), contents=[b"long"])
        assert store.read(Digest.of(b"long")) is None
        assert store.read(Digest.of(b"old")) == b"old", "of the undo contents"
        (store.root / "b").write_bytes(b"edited")
        assert record_at(store, "b").ours == state_of("b", b"edited")
        assert store.read(Digest.of(b"edited")) is None
