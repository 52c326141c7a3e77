"""Local edits through the SQL store."""

from __future__ import annotations

import pytest

from tests.databases import everything
from towline.errors import InvalidPath, UnknownAssets
from towline.kinds import Kind, Kinds
from towline.model import AssetId, AssetPath, AssetState, Digest
from towline.names import NamePolicy
from towline.testing.plans import now
from towline_server.db import Database
from towline_server.projects.store import AssetChanged, Expected

from .pulled import A, B, PulledProject, make_project

ONE, TWO = b"one", b"two"


@pytest.fixture
def here(database: Database) -> PulledProject:
    return make_project(database)


def test_a_new_asset_has_an_id_of_its_own_and_its_bytes(here: PulledProject):
    asset_id = here.store.put(A, ONE, executable=True)
    record = here.record(A)
    assert (record.id, record.kind) == (asset_id, "file")
    assert record.ours is not None
    assert record.ours.executable
    assert (record.local_only, here.contents()) == (True, {"a": ONE})


def test_writing_again_keeps_id_and_mode_and_lets_old_bytes_go(here: PulledProject):
    asset_id = here.store.put(A, ONE, executable=True)
    assert here.store.put(A, TWO) == asset_id
    assert here.record(A).ours == AssetState(path=A, digest=Digest.of(TWO), executable=True)
    assert (here.contents(), here.store.read(Digest.of(ONE))) == ({"a": TWO}, None)
    here.store.put(A, TWO, executable=False)
    assert here.record(A).ours == AssetState(path=A, digest=Digest.of(TWO), executable=False)


def test_bytes_stay_while_another_asset_has_them(here: PulledProject):
    here.store.put(A, ONE)
    here.store.put(B, ONE)
    here.store.put(A, TWO)
    assert here.contents() == {"a": TWO, "b": ONE}


def test_a_pulled_asset_keeps_its_id_when_it_moves(here: PulledProject):
    here.pull(a=ONE)
    record = here.record(A)
    assert here.store.move(record.id, B) == record.id
    assert here.contents() == {"b": ONE}
    assert here.store.put(A, TWO) != record.id


def test_an_id_that_was_never_pulled_follows_the_path(here: PulledProject):
    first = here.store.put(A, ONE)
    second = here.store.move(first, B)
    assert (now(here.store).with_id(first), here.contents()) == (None, {"b": ONE})
    assert here.store.put(A, TWO) == first
    here.store.delete(second)
    assert here.store.put(B, ONE) == second


def test_a_pulled_asset_that_is_deleted_stays_known(here: PulledProject):
    here.pull(a=ONE)
    record = here.record(A)
    here.store.delete(record.id)
    known = now(here.store).with_id(record.id)
    assert known is not None
    assert (known.ours, known.base) == (None, record.base)
    assert now(here.store).at(A) is None


@pytest.mark.parametrize(
    ("names", "path"),
    [
        (NamePolicy.EXACT, "a/below"),
        (NamePolicy.EXACT, "d"),
        (NamePolicy.FOLDS_CASE, "A"),
        (NamePolicy.FOLDS_CASE, "D/X/below"),
        (NamePolicy.PORTABLE, "aux.txt"),
        (NamePolicy.EXACT, ".hidden"),
    ],
)
def test_a_path_that_is_taken_or_no_assets_is_refused(database: Database, names, path):
    here = make_project(database, names=names)
    here.store.put(A, ONE)
    other = here.store.put(AssetPath("d/x"), TWO)
    before = everything(database)
    with pytest.raises(InvalidPath):
        here.store.put(AssetPath(path), TWO)
    if not path.casefold().startswith("d"):
        with pytest.raises(InvalidPath):
            here.store.move(other, AssetPath(path))
    assert everything(database) == before


def test_names_that_only_look_alike_are_none_of_each_others_business(here: PulledProject):
    for path in ("d/x", "d0", "d.x", "e/d/x", "D/x", "d_x", "d%"):
        here.store.put(AssetPath(path), ONE)
    assert len(here.contents()) == 7
    assert [each.ours.path for each in now(here.store).occupants(AssetPath("d"))] == ["d/x"]  # type: ignore[union-attr] # present assets


def test_the_kind_follows_the_path(database: Database):
    kinds = Kinds((Kind(name="rule", globs=("*.rule",)), Kind(name="file", globs=("**",))))
    here = make_project(database, kinds=kinds)
    asset_id = here.store.put(A, ONE)
    record = now(here.store).with_id(here.store.move(asset_id, AssetPath("a.rule")))
    assert record is not None
    assert record.kind == "rule"


def test_edits_that_expect_something_else_are_refused(here: PulledProject):
    asset_id = here.store.put(A, ONE, expect=Expected(nothing=True))
    one, two = Expected(frozenset({Digest.of(ONE)})), Expected(frozenset({Digest.of(TWO)}))
    before = everything(here.database)
    with pytest.raises(AssetChanged) as caught:
        here.store.put(A, TWO, expect=Expected(nothing=True))
    assert caught.value.found == Digest.of(ONE)
    with pytest.raises(AssetChanged):
        here.store.put(B, TWO, expect=one)
    with pytest.raises(AssetChanged):
        here.store.move(asset_id, B, expect=two)
    with pytest.raises(AssetChanged):
        here.store.delete(asset_id, expect=two)
    assert everything(here.database) == before
    here.store.put(A, TWO, expect=one)
    here.store.delete(here.store.move(asset_id, B, expect=two), expect=two)


def test_an_asset_that_is_not_here_cannot_be_moved_or_deleted(here: PulledProject):
    asset_id = here.store.put(A, ONE)
    here.store.delete(asset_id)
    for gone in (asset_id, AssetId("0" * 24)):
        with pytest.raises(UnknownAssets):
            here.store.move(gone, B)
        with pytest.raises(UnknownAssets):
            here.store.delete(gone)


def test_edits_of_one_block_are_written_together_or_not_at_all(here: PulledProject):
    def fail() -> None:
        with here.store.editing() as edits:
            edits.put(A, ONE)
            edits.put(B, TWO)
            edits.put(AssetPath("a/below"), TWO)

    before = everything(here.database)
    with pytest.raises(InvalidPath):
        fail()
    assert everything(here.database) == before


def test_another_project_sees_nothing_of_it(database: Database):
    here, there = make_project(database), make_project(database)
    asset_id = here.store.put(A, ONE)
    there.store.put(A, ONE)
    assert now(there.store).with_id(asset_id) is None
    here.store.delete(asset_id)
    assert (here.store.read(Digest.of(ONE)), there.store.read(Digest.of(ONE))) == (None, ONE)
