"""Edits, commits, pulls, resolutions and undos in any order, over two stores side by side.

A store in memory and a folder live through the same: they must answer alike at every step, and
what docs/architecture.md states of two pulls must hold after any history.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import mkdtemp

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.edited import DirectoryProject, EditedProject, MemoryProject
from towline.apply import apply
from towline.errors import TowlineError
from towline.model import AssetId, AssetPath, Digest
from towline.names import NamePolicy
from towline.options import OnConflict, PullOptions, Resolutions, Side
from towline.pull import plan_pull, pull
from towline.records import AssetRecord
from towline.remotes.memory import MemoryRemote, MemoryRepository
from towline.report import Report, report_of
from towline.resolutions import SavedResolution
from towline.stores.directory.store import DirectoryStore
from towline.stores.memory import MemoryStore
from towline.testing.choices import resolved
from towline.testing.plans import now
from towline.testing.sides import KINDS, can_coexist
from towline.testing.strategies import PATHS
from towline.undo import undo

paths = st.sampled_from(PATHS[:8])
contents = st.sampled_from([b"%d\n" % number for number in range(12)])
on_conflict = st.sampled_from(list(OnConflict))


class PullMachine(RuleBasedStateMachine):
    """One repository, and two clones of it in which one user does the same."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(mkdtemp(prefix="towline-"))
        repository = MemoryRepository()
        memory = MemoryStore("project", kinds=KINDS)
        self.memory = MemoryProject(memory, MemoryRemote(repository=repository))
        directory = DirectoryStore.create(self.folder, project="project", kinds=KINDS)
        self.directory = DirectoryProject(directory, MemoryRemote(repository=repository))
        self.tree: dict[AssetPath, tuple[bytes, bool]] = {}
        self.gone: set[bytes] = set()
        """Contents that the user deleted: new files with them would be renames in a folder."""
        self.deleted: dict[AssetId, AssetPath] = {}
        """Where the user deleted assets: a new file there is the same asset again in a folder."""

    def teardown(self) -> None:
        self.directory.store.close()
        shutil.rmtree(self.folder)

    @property
    def projects(self) -> tuple[EditedProject, ...]:
        return self.memory, self.directory

    @property
    def files(self) -> list[AssetPath]:
        return list(self.memory.files())

    # --- what a user does -------------------------------------------------------------------

    @rule(path=paths, content=contents, executable=st.booleans())
    def edit(self, path: AssetPath, content: bytes, executable: bool) -> None:
        if content not in self.gone and (path in self.files or self.is_free(path)):
            for project in self.projects:
                project.put(path, content, executable=executable)

    @rule(data=st.data())
    @precondition(lambda self: self.files)
    def delete(self, data: st.DataObject) -> None:
        path = data.draw(st.sampled_from(self.files))
        if self.is_unique(path):
            self.gone.add(self.memory.files()[path][0])
            asset_id = next(r.id for r in self.records() if r.ours and r.ours.path == path)
            self.deleted[asset_id] = path
            for project in self.projects:
                project.delete(path)

    @rule(data=st.data(), to=paths)
    @precondition(lambda self: self.files)
    def move(self, data: st.DataObject, to: AssetPath) -> None:
        path = data.draw(st.sampled_from(self.files))
        if path != to and self.is_free(to) and self.is_unique(path) and self.is_tracked(path):
            for project in self.projects:
                project.move(path, to)

    def is_free(self, path: AssetPath) -> bool:
        """Whether a new file fits there, that no store takes for one deleted before."""
        deleted = {r.base.path for r in self.records() if r.ours is None and r.base is not None}
        deleted |= {r.aligned_path for r in self.records() if r.ours is None and r.aligned_path}
        deleted |= {
            self.deleted[r.id] for r in self.records() if r.id in self.deleted and not r.ours
        }
        return path not in deleted and can_coexist(NamePolicy.EXACT, [*self.files, path])

    def is_tracked(self, path: AssetPath) -> bool:
        """Whether a folder knows where this asset goes: not of one that returned to its path."""
        (record,) = (r for r in self.records() if r.ours is not None and r.ours.path == path)
        return not (record.local_only and now(self.memory.store).is_used(record.id))

    def is_unique(self, path: AssetPath) -> bool:
        """Whether its content is, and was, nowhere else: then a folder sees a move of it."""
        files = self.memory.files()
        content = files[path][0]
        others = [
            getattr(state, "digest", None)
            for record in self.records()
            if record.ours is None or record.ours.path != path
            for state in (record.base, record.ours, record.recorded)
        ]
        return content not in self.gone and Digest.of(content) not in others

    def records(self) -> list[AssetRecord]:
        return list(now(self.memory.store).records())

    # --- what the team does -----------------------------------------------------------------

    @initialize(content=contents)
    def begin(self, content: bytes) -> None:
        self.tree = {PATHS[0]: (content, False), PATHS[3]: (b"executable\n", True)}
        self.push()

    @rule(path=paths, content=contents, executable=st.booleans())
    def commit_file(self, path: AssetPath, content: bytes, executable: bool) -> None:
        others = [other for other in self.tree if other != path]
        if can_coexist(NamePolicy.EXACT, [*others, path]):
            self.tree[path] = (content, executable)
            self.push()

    @rule(data=st.data())
    @precondition(lambda self: len(self.tree) > 1)
    def commit_deletion(self, data: st.DataObject) -> None:
        del self.tree[data.draw(st.sampled_from(sorted(self.tree)))]
        self.push()

    @rule(data=st.data(), to=paths)
    @precondition(lambda self: self.tree)
    def commit_move(self, data: st.DataObject, to: AssetPath) -> None:
        path = data.draw(st.sampled_from(sorted(self.tree)))
        others = [other for other in self.tree if other != path]
        if to not in self.tree and can_coexist(NamePolicy.EXACT, [*others, to]):
            self.tree[to] = self.tree.pop(path)
            self.push()

    def push(self) -> None:
        self.memory.remote.commit({str(path): content for path, content in self.tree.items()})

    # --- what towline does ------------------------------------------------------------------

    @rule(on_conflict=on_conflict, data=st.data())
    def pull(self, on_conflict: OnConflict, data: st.DataObject) -> None:
        options = PullOptions(on_conflict=on_conflict, allow_empty=True)
        plan = plan_pull(self.memory.store, self.memory.remote, options=options)
        known = sorted({item.asset_id for item in plan.items if item.asset_id is not None})
        chosen = Resolutions()
        if known:
            sides = st.dictionaries(st.sampled_from(known), st.sampled_from(list(Side)), max_size=3)
            chosen = resolved(data.draw(sides))
        self.both(lambda project: self.pull_one(project, replace(options, resolutions=chosen)))

    @rule(content=st.none() | contents, side=st.sampled_from(Side), data=st.data())
    def save_a_resolution(self, content: bytes | None, side: Side, data: st.DataObject) -> None:
        plan = plan_pull(
            self.memory.store, self.memory.remote, PullOptions(allow_empty=True, use_saved=False)
        )
        parties = [party for conflict in plan.conflicts for party in conflict.parties]
        if parties:
            party = data.draw(st.sampled_from(parties))
            chosen = None if content is not None else side
            saved = SavedResolution(
                asset_id=party.asset_id, states=party.states, side=chosen, content=content
            )
            for project in self.projects:
                project.store.save_resolutions([saved])

    @staticmethod
    def pull_one(project: EditedProject, options: PullOptions) -> Report:
        before = project.state_hash()
        try:
            plan = plan_pull(project.store, project.remote, options)
        except TowlineError:
            assert project.state_hash() == before
            raise
        assert project.state_hash() == before
        if plan.refused:
            assert pull(project.store, project.remote, options) == report_of(plan)
            assert project.state_hash() == before
            return report_of(plan)
        report = apply(plan, project.store)
        again = plan_pull(project.store, project.remote, options=options)
        open_ids = {party.asset_id for c in report.conflicts for party in c.parties}
        assert {item.asset_id for item in report_of(again).listed} == open_ids
        assert again.edits == ()
        return report

    @rule()
    def undo(self) -> None:
        self.both(lambda project: undo(project.store))

    @rule(number=st.integers(1, 4))
    def undo_an_older_one(self, number: int) -> None:
        self.both(lambda project: undo(project.store, number))

    def both(self, act: Callable[[EditedProject], Report]) -> None:
        """The same on both; they answer alike, or refuse alike."""
        answers: list[object] = []
        for project in self.projects:
            try:
                answers.append(act(project))
            except TowlineError as error:
                answers.append((error.code, error.data()))
        assert answers[0] == answers[1]

    # --- what holds at every step -----------------------------------------------------------

    @invariant()
    def the_files_are_the_same(self) -> None:
        assert self.memory.files() == self.directory.files()

    @invariant()
    def the_records_are_the_same(self) -> None:
        assert self.records() == list(now(self.directory.store).records())
        assert now(self.memory.store).state() == now(self.directory.store).state()

    @invariant()
    def the_resolutions_are_the_same(self) -> None:
        memory, directory = now(self.memory.store), now(self.directory.store)
        assert memory.saved_resolutions() == directory.saved_resolutions()
        assert memory.remembered_resolutions() == directory.remembered_resolutions()
