"""Fetch, and what the status then shows without the network."""

from __future__ import annotations

from pathlib import Path

from tests.acceptance.command import BASE, THEIRS, Command, edit, files
from towline.testing.git_repository import GitRepository
from towline.testing.git_server import GitServer


def commit(repository: GitRepository, subject: str) -> str:
    """Commit nothing on top of main, with a message of its own."""
    tip = repository.tip("main")
    assert tip is not None
    made = repository.git("commit-tree", f"{tip}^{{tree}}", "-p", tip, "-m", subject)
    repository.set_ref("main", made.decode().strip())
    return made.decode().strip()


def test_fetch_shows_what_moved_and_changes_nothing(
    project: Command, repository: GitRepository, server: GitServer
):
    before, state = files(project), project.json("status")
    old, new = state["base"], commit(repository, "Add a rule")
    ran = project("fetch")
    assert ran.out.splitlines() == [
        f"From {server.url}/{repository.path.name}",
        f"   {old[:12]}..{new[:12]}  main",
        "behind by 2 commits; towline status lists them",
    ]
    assert files(project) == before
    assert project.json("status")["base"] == old
    assert len(project.json("log")["pulls"]) == 1
    assert project("fetch").out.startswith(f"Up to date: main is at {new[:12]}.\nbehind by 2")
    assert project.json("fetch") == {
        "url": f"{server.url}/{repository.path.name}",
        "ref": "main",
        "before": new,
        "revision": new,
        "forced": False,
        "behind_by": 2,
    }
    project("pull")
    assert project("fetch").out == f"Up to date: main is at {new[:12]}.\n"


def test_a_forced_update_and_a_first_fetch_are_shown_as_such(
    project: Command, repository: GitRepository
):
    project("fetch")
    other = repository.commit({"other": b"1\n"}, parents=[])
    assert f"...{other[:12]} (forced update)  main\n" in project("fetch").out
    project("config", "url", project.json("config")["url"])
    assert f" * [new] {other[:12]}  main\n" in project("fetch").out


def test_status_lists_the_commits_behind_without_the_network(
    project: Command, repository: GitRepository, server: GitServer
):
    last = [commit(repository, f"Change {number}\n\nMore.") for number in range(30)][-1]
    project("fetch")
    server.tally.clear()
    lines = project("status").out.splitlines()
    assert not server.tally.requests
    assert lines[2] == "behind by 31 commits:"
    assert lines[3] == f"  {last[:12]} Change 29"
    assert lines[23] == "  and 11 more"
    found = project.json("status")["commits_behind"]
    assert len(found) == 31
    assert (found[0]["revision"], found[0]["subject"]) == (last, "Change 29")
    assert (found[0]["author"], found[0]["time"]) == ("towline", "2023-11-14T22:13:20+00:00")
    project("pull")
    assert project.json("status")["commits_behind"] == []
    assert "behind by" not in project("status").out


def test_status_shows_renames_of_both_sides(project: Command, repository: GitRepository):
    here, there = "rules/lost.json", "pipelines/returns.json"
    (project.folder / here).rename(project.folder / "rules/found.json")
    moved = {path: content for path, content in BASE.items() if path != there}
    repository.commit({**moved, "pipelines/back.json": BASE[there]})
    project("fetch")
    shown = project("status").out
    assert f"renamed: {here} -> rules/found.json" in shown
    assert f"renamed there: {there} -> pipelines/back.json" in shown
    found = {asset["path"]: asset for asset in project.json("status")["assets"]}
    assert found["rules/found.json"]["renamed_from"] == here
    assert found["rules/found.json"]["state"] == "modified-here"
    assert found[there]["renamed_there"] == "pipelines/back.json"
    assert found["readme.txt"]["renamed_from"] is found["readme.txt"]["renamed_there"] is None


def test_a_rename_that_edits_here_is_planned_and_applied_as_one_asset(
    project: Command, repository: GitRepository
):
    lines = [b"# rules\n", *(b"line %d\n" % number for number in range(9))]
    repository.commit({**BASE, "rules/long.md": b"".join(lines)})
    project("pull")
    (project.folder / "rules/long.md").unlink()
    edit(project, "long ones.md", b"".join([b"# long ones\n", *lines[1:]]))
    repository.commit({**BASE, "rules/long.md": b"".join([*lines[:-1], b"the last\n"])})
    project("plan", "--plan-out", "../plan.json")
    shown = project("status").out
    assert "renamed and edited: rules/long.md -> long ones.md" in shown
    assert "long ones.md" in project("diff", "--stat").out
    project("apply", "../plan.json")
    merged = b"".join([b"# long ones\n", *lines[1:-1], b"the last\n"])
    assert files(project)["long ones.md"] == merged
    assert "rules/long.md" not in files(project)


def test_status_without_history_shows_no_commits(
    towline: Command, repository: GitRepository, url: str, tmp_path: Path
):
    repository.commit(BASE)
    edit(towline, "own.json", b"{}\n")
    towline("init", url)
    assert towline.json("status")["commits_behind"] is None
    towline("pull")
    repository.commit(THEIRS, parents=[])
    towline("fetch")
    (towline.folder / ".towline/cache.git").rename(tmp_path / "gone")
    assert towline.json("status")["commits_behind"] is None
