"""The cost laws of the directory store: what an apply does grows with the change alone."""

import os

import pytest

from tests.unit.stores.later_disk import LaterDisk
from towline.model import AssetPath
from towline.options import PullOptions
from towline.plan import LISTED, Plan
from towline.ports import Watch
from towline.pull import pull
from towline.remotes.memory import MemoryRemote
from towline.stores.directory import database
from towline.stores.directory.rows import tracked_asset_of
from towline.stores.directory.store import DirectoryStore
from towline.testing.plans import (
    KnownContents,
    apply_edits,
    change,
    create,
    delete,
    now,
    plan_of,
    record_at,
)
from towline.undo import undo

CHANGED = 8
STATS_OF_A_NEW_FILE = 1
STATS_OF_A_CHANGED_FILE = 8


@pytest.fixture(scope="module", params=[1_000, 10_000])
def root(request, tmp_path_factory):
    root = tmp_path_factory.mktemp("project") / str(request.param)
    root.mkdir()
    with DirectoryStore.create(root, project="p", disk=LaterDisk) as store:
        edits = [
            create(store, f"d{number % 50}/f{number}", b"%d" % (number % 10))
            for number in range(request.param)
        ]
        apply_edits(store, *edits, contents=[b"%d" % number for number in range(10)])
    return root


def counted(root, action):
    with DirectoryStore.open(root, disk=LaterDisk) as store:
        action(store)
        return store.disk.counts


def touch_few(store):
    """A pull as the core makes it: look at what changed, and apply."""
    number = len(store.log())
    content = b"content of pull %d" % number
    assets = [f"d{each}/f{each + 50 * number}" for each in range(CHANGED)]
    edits = [change(store, path, content) for path in assets[:-3]]
    edits.append(change(store, assets[-3], to=f"moved/{number}"))
    edits.append(delete(store, assets[-2]))
    edits.append(change(store, assets[-1], executable=True))
    edits.append(create(store, f"new/{number}", content))
    list(now(store).lagging())
    store.apply(plan_of(store, *edits), KnownContents(content), Watch())


def do_nothing(store):
    state = now(store).state()
    list(now(store).lagging())
    plan = Plan(project="p", revision=None, before=state, after=state)
    store.apply(plan, KnownContents(), Watch())


def test_a_pull_costs_what_changed(root):
    counts = counted(root, touch_few)
    assert counts["list"] == 1, "its own folder, as it is opened"
    # What leaves its place is read once: to be verified, and to be stored for undo.
    assert counts["read"] <= CHANGED
    copies = CHANGED - 2
    assert counts["create"] == CHANGED - 2 + copies + 1, "each content, new and old; the journal"
    assert counts["flush"] <= 5
    assert counts["stat"] <= 16 * CHANGED
    assert sum(counts.values()) <= 26 * CHANGED


def test_a_pull_that_renames_nothing_needs_one_flush_less(root):
    def rewrite(store):
        apply_edits(store, change(store, "d9/f9", b"rewritten"), contents=[b"rewritten"])

    assert counted(root, rewrite)["flush"] == 4


def test_without_fsync_nothing_is_flushed(tmp_path):
    def flushes(content, *, fsync):
        levels: list[str] = []
        with DirectoryStore.open(tmp_path / "p", disk=LaterDisk) as store:
            store.set_fsync(fsync)
        with DirectoryStore.open(tmp_path / "p", disk=LaterDisk) as store:
            assert store.fsync is fsync
            store._state._connection.set_trace_callback(levels.append)
            apply_edits(store, change(store, "a", content), contents=[content])
            store.set_setting("any", "1")
        return store.disk.counts["flush"], "PRAGMA synchronous = NORMAL" in levels

    with DirectoryStore.create(tmp_path / "p", project="p", disk=LaterDisk) as store:
        apply_edits(store, create(store, "a", b"1"), contents=[b"1"])
    assert flushes(b"2", fsync=False) == (0, False)
    assert flushes(b"3", fsync=True) == (4, True)


def test_a_pull_with_nothing_to_do_looks_at_nothing(root):
    counted(root, do_nothing)
    counts = counted(root, do_nothing)
    # Its own folder and what is in it, whether an apply was interrupted, what the last replaced.
    assert counts == {"stat": 3, "list": 1}


def test_a_status_lists_once_and_opens_nothing(root):
    def look_at_all(store):
        assert sum(1 for _ in now(store).records()) >= 1_000

    counted(root, look_at_all)
    counts = counted(root, look_at_all)
    folders = sum(".towline" not in folder for folder, _, _ in os.walk(root))
    assert counts["list"] == folders + 1, "its own folder, too"
    assert counts["read"] == 0
    assert counts["lock"] == 0


def test_an_edited_asset_is_opened_once(root):
    # The next command removes the files that a pull replaced.
    counted(root, do_nothing)
    (root / "d7/f7").write_bytes(b"edited")

    def look_up(store):
        record_at(store, "d7/f7")
        now(store).at(AssetPath("d7/f7"))

    assert counted(root, look_up)["read"] == 1
    assert counted(root, look_up)["read"] == 0, "it is remembered"


def test_a_file_of_a_pull_takes_at_most_five_opens(tmp_path, monkeypatch):
    opened = 0

    def counting(*arguments, **options):
        nonlocal opened
        opened += 1
        return plain(*arguments, **options)

    plain = os.open
    monkeypatch.setattr(os, "open", counting)
    paths = [f"d{number % 20}/s{number % 3}/f{number}" for number in range(200)]
    with DirectoryStore.create(tmp_path / "p", project="p", disk=LaterDisk) as store:
        apply_edits(store, *(create(store, path, b"1") for path in paths), contents=[b"1"])
        assert opened <= 5 * len(paths)
        opened = 0
        apply_edits(store, *(change(store, path, b"2") for path in paths), contents=[b"2"])
        assert opened <= 5 * len(paths)


def test_an_apply_writes_its_records_in_sets(tmp_path, monkeypatch):
    def statements(project, count):
        done = []
        with DirectoryStore.create(tmp_path / project, project="p", disk=LaterDisk) as store:
            paths = [f"f{number}" for number in range(count)]
            apply_edits(store, *(create(store, path, b"1") for path in paths), contents=[b"1"])
            edits = [change(store, path, b"2") for path in paths]
            connection = store._state._connection

            class Counting:
                def execute(self, statement, *values):
                    done.append(statement)
                    return connection.execute(statement, *values)

                def __getattr__(self, name):
                    return getattr(connection, name)

            monkeypatch.setattr(store._state, "_connection", Counting())
            apply_edits(store, *edits, contents=[b"2"])
        return [each for each in done if not each.startswith("SELECT")]

    assert len(statements("few", 2)) == len(statements("many", 50))


@pytest.mark.parametrize("first", [True, False])
def test_a_pull_reads_its_rows_in_sets(tmp_path, *, first):
    def selects(count):
        remote = MemoryRemote()
        done: list[str] = []
        files = {f"d{number % 5}/f{number}": b"1" for number in range(count)}
        with DirectoryStore.create(tmp_path / str(count), project="p", disk=LaterDisk) as store:
            remote.commit({} if first else files)
            pull(store, remote, PullOptions(allow_empty=True))
            remote.commit(dict.fromkeys(files, b"2"))
            store._state._connection.set_trace_callback(done.append)
            before = store.disk.counts["stat"]
            report = pull(store, remote)
            stats = store.disk.counts["stat"] - before
        assert len(report.created if first else report.updated) == count
        assert stats <= (STATS_OF_A_NEW_FILE if first else STATS_OF_A_CHANGED_FILE) * count + 60
        return [statement for statement in done if statement.lstrip().startswith("SELECT")]

    few, many = selects(10), selects(60)
    assert len(few) == len(many), sorted(many)[:20]


def test_the_log_decodes_no_plan_and_an_undo_one(tmp_path, monkeypatch):
    decoded = []
    with DirectoryStore.create(tmp_path / "p", project="p", disk=LaterDisk) as store:
        for number in range(5):
            apply_edits(store, create(store, f"f{number}", b"1"), contents=[b"1"])
        plain = store._state.pulls._decoded

        def counting(kind, *rest):
            decoded.append(kind)
            return plain(kind, *rest)

        monkeypatch.setattr(store._state.pulls, "_decoded", counting)
        assert [dict(zip(LISTED, entry.summary.counts, strict=True)) for entry in store.log()]
        assert Plan not in decoded
        undo(store)
    assert decoded.count(Plan) == 1


def test_a_status_makes_records_of_what_changed_alone(root, monkeypatch):
    rows = []

    def of_row(row):
        rows.append(row)
        return tracked_asset_of(row)

    def look(store):
        found = now(store).changed_records()
        assert found.unchanged >= 1_000 - CHANGED

    counted(root, lambda store: list(now(store).records()))
    (root / "d8/f8").write_bytes(b"edited")
    monkeypatch.setattr(database, "tracked_asset_of", of_row)
    assert counted(root, look)["read"] == 1, "the edited file"
    assert len(rows) <= CHANGED


def test_a_status_reads_each_table_once(root):
    read: list[str] = []

    def look_at_all(store):
        store._state._connection.set_trace_callback(read.append)
        assert sum(1 for _ in now(store).records()) >= 1_000

    counted(root, look_at_all)
    for table in ("assets", "files"):
        assert sum(f"FROM {table}" in statement for statement in read) == 1
