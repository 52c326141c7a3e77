"""A directory store on a file system that folds case, played by a disk that answers so."""

import os

import pytest

from towline.model import AssetPath
from towline.names import NamePolicy
from towline.stores.directory.disk import Disk
from towline.stores.directory.store import DirectoryStore
from towline.testing.plans import apply_edits, change, create, now, pull_files, record_at, state_of

P = AssetPath


class FoldingDisk(Disk):
    """Finds each name under any spelling, and keeps the one that it was made with."""

    def spelled(self, path):
        found = ""
        for name in path.split("/"):
            inside = super().scandir(found)
            alike = [other for other, _ in inside if other.casefold() == name.casefold()]
            found = f"{found}/{alike[0] if alike else name}".removeprefix("/")
        return found


def _respell(name, arguments):
    plain = getattr(Disk, name)

    def respelled(self, *paths, **options):
        spelled = [self.spelled(path) for path in paths[:arguments]]
        return plain(self, *spelled, *paths[arguments:], **options)

    return respelled


for _name in (
    "stat",
    "read",
    "digest",
    "write",
    "unlink",
    "mkdir",
    "rmdir",
    "chmod",
    "probe_rename_into",
):
    setattr(FoldingDisk, _name, _respell(_name, 1))
for _name in ("rename", "rename_noreplace", "copy", "probe_rename_from"):
    setattr(FoldingDisk, _name, _respell(_name, 2))


@pytest.fixture
def store(tmp_path):
    with DirectoryStore.create(tmp_path, project="p", disk=FoldingDisk) as store:
        yield store


def names(store):
    return sorted(set(os.listdir(store.root)) - {".towline"})


def test_it_is_found_out_when_the_project_is_made(store):
    assert store.names is NamePolicy.FOLDS_CASE


def test_an_asset_is_at_its_own_spelling_alone(store):
    (store.root / "Local").write_bytes(b"1")
    pull_files(store, Pulled=b"2")
    assert record_at(store, "Local").local_only
    assert now(store).at(P("local")) is None
    assert [r.ours and r.ours.path for r in now(store).records()] == sorted(
        ["Local", "Pulled"], key=lambda path: record_at(store, path).id
    )
    assert len(now(store).occupants(P("pulled/x"))) == 1


def test_a_rename_of_case_alone_is_applied(store):
    pull_files(store, a=b"1")
    apply_edits(store, change(store, "a", to="A"))
    assert names(store) == ["A"]
    assert record_at(store, "A").ours == state_of("A", b"1")


def test_a_local_rename_of_case_alone_is_no_second_asset(store):
    pull_files(store, a=b"1")
    (store.root / "a").rename(store.root / "A")
    (record,) = now(store).records()
    assert record.ours == state_of("a", b"1")


def test_folders_are_shared_whatever_their_spelling(store):
    pull_files(store, Dir__a=b"1")
    apply_edits(store, create(store, "dir/b", b"2"), contents=[b"2"])
    assert sorted(os.listdir(store.root / "Dir")) == ["a", "b"]
    assert {r.ours.path for r in now(store).records() if r.ours} == {"Dir/a", "dir/b"}
    assert record_at(store, "dir/b").ours == state_of("dir/b", b"2")
