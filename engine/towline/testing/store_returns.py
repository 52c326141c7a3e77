"""That an asset which vanished and returns at its path has its former id."""

from __future__ import annotations

from towline.model import AssetId, AssetPath
from towline.options import PullOptions
from towline.pull import pull
from towline.remotes.memory import MemoryRemote
from towline.remotes.trees import FileContent
from towline.report import Report
from towline.testing.plans import apply_edits, delete, now, record_at
from towline.testing.store_harness import NewStore, StoreHarness, StoreTraits, project_with
from towline.undo import undo

P = AssetPath


class _Team:
    """A project, and the repository that it pulls from."""

    def __init__(self, harness: StoreHarness) -> None:
        self.harness = harness
        self.remote = MemoryRemote()

    def pull(self, *, rewritten: bool = False, **files: FileContent) -> Report:
        """Commit these files, on a rewritten branch or not, and pull them."""
        self.remote.commit(files, parents=[] if rewritten else None)
        if rewritten:
            self.remote.forget()
        return pull(self.harness.store, self.remote, PullOptions(allow_empty=True))

    def id_at(self, path: str) -> AssetId:
        """Return the id of the asset at a path, which each lookup gives."""
        record = record_at(self.harness.store, path)
        assert now(self.harness.store).with_id(record.id) == record
        assert record in list(now(self.harness.store).records())
        return record.id


def _started(new_store: NewStore) -> tuple[_Team, AssetId]:
    """Return a team that has pulled ``a`` and ``b``, and the id of ``a``."""
    team = _Team(new_store())
    team.pull(a=b"1", b=b"2")
    return team, team.id_at("a")


class ReturnContract(StoreTraits):
    """Ids of assets that vanish and return."""

    def test_an_undo_and_a_pull_return_an_asset(self, new_store: NewStore) -> None:
        team, first = _started(new_store)
        undo(team.harness.store)
        assert now(team.harness.store).with_id(first) is None
        team.harness.reopen()
        team.pull(a=b"3", b=b"2")
        assert team.id_at("a") == first

    def test_a_revert_returns_an_asset(self, new_store: NewStore) -> None:
        team, first = _started(new_store)
        team.pull(b=b"2")
        assert now(team.harness.store).former_id(P("a")) == first
        report = team.pull(a=b"1", b=b"2")
        assert [item.asset_id for item in report.created] == [first] == [team.id_at("a")]
        # It is as any other: deleted here and written again it is the same.
        team.harness.delete("a")
        team.harness.put("a", b"2")
        assert team.id_at("a") == first

    def test_a_rewritten_branch_and_its_reverse_return_an_asset(self, new_store: NewStore) -> None:
        team, first = _started(new_store)
        team.pull(b=b"2", rewritten=True)
        team.pull(a=b"1", b=b"2", rewritten=True)
        assert team.id_at("a") == first

    def test_what_is_deleted_on_both_sides_returns_when_it_is_written(
        self, new_store: NewStore
    ) -> None:
        team, first = _started(new_store)
        team.harness.delete("a")
        team.pull(b=b"2")
        for _ in range(2):
            team.harness.put("a", b"3")
            assert team.id_at("a") == first
            assert record_at(team.harness.store, "a").local_only
            team.harness.reopen()
            team.harness.delete("a")
            assert now(team.harness.store).with_id(first) is None
        report = team.pull(a=b"4", b=b"2")
        assert [item.asset_id for item in report.created] == [first]

    def test_a_renamed_asset_returns_at_its_last_path(self, new_store: NewStore) -> None:
        team, first = _started(new_store)
        team.pull(c=b"1", b=b"2")
        assert team.id_at("c") == first
        team.pull(b=b"2")
        team.pull(a=b"1", b=b"2", c=b"3")
        assert team.id_at("c") == first
        assert team.id_at("a") != first

    def test_the_last_one_that_was_at_a_path_returns(self, new_store: NewStore) -> None:
        team = _Team(new_store())
        team.pull(a=b"1", b=b"2")
        second = team.id_at("b")
        team.pull(b=b"2")
        team.pull(a=b"2")
        assert team.id_at("a") == second
        team.pull()
        assert team.pull(a=b"1").created[0].asset_id == second

    def test_an_id_in_use_returns_nowhere(self, new_store: NewStore) -> None:
        team, first = _started(new_store)
        team.pull(b=b"2")
        team.pull(a=b"1", b=b"2")
        team.pull(b=b"2", c=b"1")
        assert team.id_at("c") == first
        assert now(team.harness.store).former_id(P("a")) is None
        team.pull(a=b"4", b=b"2", c=b"1")
        assert team.id_at("a") != first

    def test_an_id_is_never_given_to_an_asset_at_another_path(self, new_store: NewStore) -> None:
        harness = project_with(new_store, a=b"1")
        first = record_at(harness.store, "a").id
        apply_edits(harness.store, delete(harness.store, "a"))
        assert now(harness.store).is_used(first)
        harness.put("b", b"1")
        assert record_at(harness.store, "b").id != first
        harness.put("a", b"1")
        assert record_at(harness.store, "a").id == first
