"""What goes wrong: a typed error each, the right exit code, and the project as it was."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from tests.acceptance.command import BASE, ORDERS, THEIRS, Command, edit, files
from towline.testing.git_repository import GitRepository, sha256_repository
from towline.testing.git_server import Answers, CutsOff, GitServer

RECORDED = ("meta", "assets", "used", "log", "blobs")


def fingerprint(project: Command) -> str:
    """The project's files, and all that it recorded but for what it learnt by looking."""
    address = f"file:{project.folder}/.towline/state.db?mode=ro"
    with closing(sqlite3.connect(address, uri=True)) as state:
        recorded = [state.execute(f"SELECT * FROM {table}").fetchall() for table in RECORDED]
    return hashlib.sha256(repr((files(project), recorded)).encode()).hexdigest()


def failed(project: Command, *arguments: str, code: int = 1) -> str:
    """The code of the error that a command ends with, having changed nothing."""
    before = fingerprint(project)
    error = project.json(*arguments, code=code)["error"]
    assert error["message"]
    ran = project(*arguments, code=code)
    assert ran.out == ""
    assert "towline: " in ran.err
    assert fingerprint(project) == before
    return str(error["code"])


def test_too_many_assets(project: Command, repository: GitRepository):
    repository.commit({f"a{number}": b"1\n" for number in range(1001)})
    before = fingerprint(project)
    error = project.json("pull", code=1)["error"]
    assert (error["code"], error["allowed"], error["found"]) == ("asset_limit_exceeded", 1000, 1001)
    assert "--max-assets" in project("pull", code=1).err
    assert fingerprint(project) == before
    assert len(project.json("pull", "--max-assets", "1001")["created"]) == 1001
    assert project.json("pull")["status"] == "up-to-date"


@pytest.mark.parametrize(
    ("arguments", "code", "exit_code"),
    [
        (["--use-theirs", ORDERS, "--use-ours", ORDERS], "conflicting_resolutions", 2),
        (["--use-theirs", "unknown"], "unknown_assets", 1),
        (["--use-theirs", "unknown/*"], "unknown_assets", 1),
        (["--use-ours", "0" * 24], "unknown_assets", 1),
        (["--use-theirs", ORDERS.upper()], "unknown_assets", 1),
        (["--only", "rules/*", "--use-theirs", ORDERS], "unselected_resolutions", 1),
        (["--limit", "asset_bytes=10"], "limit_exceeded", 1),
        (["--limit", "tree_entries=2"], "limit_exceeded", 1),
        (["--max-deletes", "0"], "limit_exceeded", 1),
        (["--limit", "nothing=1"], "invalid_value", 2),
        (["--limit", "assets"], "invalid_value", 2),
        (["--limit", "assets=-1"], "invalid_value", 2),
        (["--max-assets", "0"], "usage", 2),
        (["--on-conflict", "perhaps"], "usage", 2),
        (["surplus"], "usage", 2),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_request_that_is_refused(
    project: Command, arguments: list[str], code: str, exit_code: int
):
    assert failed(project, "pull", *arguments, code=exit_code) == code


def test_an_id_and_a_path_of_one_asset_in_both_lists(project: Command):
    found = project.json("status")["assets"]
    asset_id = next(asset["asset_id"] for asset in found if asset["path"] == ORDERS)
    arguments = ["pull", "--use-theirs", asset_id, "--use-ours", ORDERS]
    assert failed(project, *arguments, code=2) == "conflicting_resolutions"


def test_an_asset_that_the_repository_does_not_have(project: Command):
    edit(project, "own.json", b"{}\n")
    assert failed(project, "pull", "--use-theirs", "own.json") == "no_remote_version"


def test_an_empty_scope_is_refused_unless_allowed(project: Command, repository: GitRepository):
    repository.commit({".hidden": b"1\n"})
    assert failed(project, "pull") == "empty_remote"
    assert len(project.json("pull", "--allow-empty")["deleted"]) == len(BASE)


@pytest.mark.parametrize(
    "name", [b"..", b".git", b".GIT", b".towline", b"git~1", b".g\xe2\x80\x8cit"]
)
def test_hostile_names_in_trees(project: Command, repository: GitRepository, name: bytes):
    blob = bytes.fromhex(repository.put("blob", b"x"))
    tree = repository.put("tree", b"100644 " + name + b"\0" + blob)
    repository.commit_tree(tree)
    assert failed(project, "pull") == "invalid_tree"


def test_a_store_that_someone_else_is_pulling_into(project: Command):
    before = fingerprint(project)
    with (project.folder / ".towline" / "lock").open("rb+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert project.json("pull", code=1)["error"]["code"] == "store_busy"
        assert "another pull" in project("pull", code=1).err
        # Looking is free.
        assert project.json("plan")["status"] == "updated"
        assert project.json("status")["assets"]
    assert fingerprint(project) == before
    assert project.json("pull")["status"] == "updated"


@pytest.mark.parametrize("content", [b"", b"no database" * 100])
def test_a_damaged_state_file(project: Command, content: bytes):
    before = files(project)
    state = project.folder / ".towline" / "state.db"
    state.write_bytes(content)
    for command in ("status", "plan", "pull", "log", "undo", "diff", "config"):
        assert project.json(command, code=1)["error"]["code"] == "store_damaged"
    assert state.read_bytes() == content
    assert files(project) == before


def test_outside_a_project(towline: Command):
    for command in ("status", "plan", "pull", "log", "undo", "diff", "config"):
        assert towline.json(command, code=1)["error"]["code"] == "not_associated"
    assert "towline clone" in towline("pull", code=1).err
    assert towline.json("-C", "nowhere", "status", code=2)["error"]["code"] == "usage"


@pytest.mark.parametrize("arguments", [["log"], ["status", "--json"], ["apply", "x", "--json"]])
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_reader_that_has_gone(project: Command, arguments: list[str], unbuffered: str):
    ours, theirs = os.pipe()
    os.close(ours)
    ended = subprocess.run(
        [sys.executable, "-m", "towline_cli", *arguments],
        cwd=project.folder,
        env=project.environment(PYTHONUNBUFFERED=unbuffered),
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=subprocess.PIPE,
        check=False,
    )
    os.close(theirs)
    assert ended.returncode in (1, 2)
    assert ended.stderr == b""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
@pytest.mark.parametrize("name", ["", "state.db", "cache.git", "cache.git/config"])
def test_a_project_that_someone_else_made_is_used_when_it_is_accepted(project: Command, name: str):
    os.chown(project.folder / ".towline" / name, 12345, 12345)
    # A status does not look into the cache where nothing was fetched since the last pull.
    error = project.json("fetch", code=1)["error"]
    assert (error["code"], error["owner"]) == ("unsafe_owner", 12345)
    assert "safe.directory" in project("fetch", code=1).err
    assert project.json("fetch", TOWLINE_ANY_OWNER="1")["revision"]
    accept = ["git", "config", "--global", "--add", "safe.directory", str(project.folder)]
    subprocess.run(accept, env=project.environment(), check=True)
    assert project.json("fetch")["revision"]


@pytest.mark.parametrize(
    "name", ["state.db", "journal", "staged", "cache.git", "cache.git/config", "cache.git.lock"]
)
def test_a_link_below_the_own_folder_is_not_followed(
    project: Command, repository: GitRepository, name: str
):
    place, elsewhere = project.folder / ".towline" / name, project.folder.parent / "elsewhere"
    shutil.copytree(repository.path, elsewhere)
    place.rename(project.folder.parent / "away") if place.exists() else None
    place.symlink_to(elsewhere if not name.endswith("config") else elsewhere / "config")
    before = {file: file.read_bytes() for file in elsewhere.rglob("*") if file.is_file()}
    for command in ("fetch", "pull"):
        assert project.json(command, code=1)["error"]["code"] == "link_refused"
    assert before == {file: file.read_bytes() for file in elsewhere.rglob("*") if file.is_file()}


def test_a_kinds_file_is_checked_without_a_project(towline: Command):
    file = towline.folder / "kinds.toml"
    file.write_text('[[kinds]]\nname = "rule"\nglob = ["rules/**"]\n')
    error = towline.json("config", "kinds", "--check", "kinds.toml", code=2)["error"]
    assert (error["code"], error["field"]) == ("invalid_value", "kinds.toml:1")
    assert "did you mean globs?" in towline("config", "kinds", "--check", "kinds.toml", code=2).err
    file.write_text('[[kinds]]\nname = "rule"\nglobs = ["rules/**"]\n')
    assert towline("config", "kinds", "--check", "kinds.toml").out == (
        "kinds.toml is valid: 1 kind, dot files left out.\nrule: rules/**\n"
    )
    assert towline.json("config", "kinds", "--check", "kinds.toml")["kinds"][0]["name"] == "rule"
    assert towline.json("config", "kinds", "--check", code=2)["error"]["code"] == "usage"
    missing = towline.json("config", "kinds", "--check", "x", code=2)["error"]
    assert missing["code"] == "invalid_value"


# --- the remote -------------------------------------------------------------------------------


def test_a_branch_that_is_gone(project: Command, repository: GitRepository):
    repository.commit(THEIRS, ref="other", parents=[])
    repository.set_ref("main", None)
    repository.set_head("other")
    assert failed(project, "pull") == "ref_not_found"
    assert "has no 'main'; its default branch is 'other'" in project("pull", code=1).err
    project("config", "ref", "other")
    assert project.json("pull")["history_rewritten"] is True


def test_an_unreachable_remote(project: Command):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        project("config", "url", f"http://127.0.0.1:{closed.getsockname()[1]}/x.git")
        assert failed(project, "pull") == "remote_unavailable"


@pytest.mark.parametrize(
    ("trouble", "code", "exit_code"),
    [
        (Answers(status=403), "permission_denied", 4),
        (Answers(status=429), "rate_limited", 1),
        (Answers(status=500), "remote_unavailable", 1),
        (
            Answers(status=302, headers={"Location": "http://localhost:1/x.git/info/refs"}),
            "redirect_refused",
            1,
        ),
        (CutsOff(after=40), "remote_unavailable", 1),
    ],
    ids=["forbidden", "rate limit", "broken", "redirect", "cut"],
)
def test_a_remote_in_trouble(
    project: Command, server: GitServer, trouble: Answers | CutsOff, code: str, exit_code: int
):
    server.trouble = trouble
    assert failed(project, "pull", code=exit_code) == code
    server.trouble = None
    assert project.json("pull")["status"] == "updated"


# --- clone and init leave nothing behind ------------------------------------------------------


def left(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_a_failed_clone_leaves_nothing(
    towline: Command, repository: GitRepository, url: str, server: GitServer
):
    repository.commit(BASE)
    for arguments, code in [
        ((url, "--ref", "nowhere"), "ref_not_found"),
        ((url, "--max-assets", "1"), "asset_limit_exceeded"),
        ((url, "deep/down", "--limit", "asset_bytes=1"), "limit_exceeded"),
        ((f"{server.url}/none.git",), "remote_refused"),
    ]:
        assert towline.json("clone", *arguments, code=1)["error"]["code"] == code
        assert left(towline.folder) == []
    (towline.folder / "empty").mkdir()
    towline("clone", url, "empty", "--max-assets", "1", code=1)
    assert left(towline.folder) == ["empty"]
    towline("clone", url, "empty")
    assert files(towline.at(towline.folder / "empty")) == BASE


def test_a_clone_stays_when_its_report_is_not_read(
    towline: Command, repository: GitRepository, url: str
):
    repository.commit(BASE)
    ours, theirs = os.pipe()
    os.close(ours)
    ended = subprocess.run(
        [sys.executable, "-m", "towline_cli", "clone", url, "copy"],
        cwd=towline.folder,
        env=towline.environment(),
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=subprocess.PIPE,
        check=False,
    )
    os.close(theirs)
    assert ended.stderr == b""
    assert files(towline.at(towline.folder / "copy")) == BASE


def test_a_failed_init_leaves_the_folder_alone(
    towline: Command, repository: GitRepository, url: str
):
    repository.commit(BASE)
    edit(towline, "own.json", b"{}\n")
    assert towline.json("init", url, "--ref", "x", code=1)["error"]["code"] == "ref_not_found"
    assert left(towline.folder) == ["own.json"]


def test_an_empty_repository(towline: Command, repository: GitRepository, url: str):
    assert repository.tip("main") is None
    assert towline.json("clone", url, code=1)["error"]["code"] == "empty_repository"
    assert "the default branch" in towline("clone", url, code=1).err
    assert left(towline.folder) == []


def test_a_sha256_repository(towline: Command, repositories: Path, server: GitServer):
    path = repositories / "sha256.git"
    sha256_repository(path)
    code = towline.json("clone", f"{server.url}/sha256.git", code=1)["error"]["code"]
    shutil.rmtree(path)
    assert code == "unsupported_remote"
    assert left(towline.folder) == []


@pytest.mark.parametrize("there", ["file", "folder", "dangling link"])
def test_clone_overwrites_nothing(
    towline: Command, repository: GitRepository, url: str, there: str
):
    repository.commit(BASE)
    target = towline.folder / "team"
    if there == "file":
        target.write_text("mine")
    elif there == "folder":
        edit(towline, "team/mine", b"mine")
    else:
        target.symlink_to("nowhere")
    before = left(towline.folder)
    assert towline.json("clone", url, code=1)["error"]["code"] == "folder_not_empty"
    assert left(towline.folder) == before


@pytest.mark.parametrize(
    "arguments",
    [
        ["ext::sh -c id"],
        ["--", "--upload-pack=touch x"],
        ["https://"],
        ["ftp://host/x"],
        [""],
        ["{url}", "--scope", "../up"],
        ["{url}", "--ref=-x"],
        ["{url}", "--limit", "assets=none"],
        ["{url}", "--kinds", "bad.toml"],
    ],
)
def test_clone_refuses_what_no_value_can_be(
    towline: Command, repository: GitRepository, url: str, arguments: list[str]
):
    repository.commit(BASE)
    (towline.folder / "bad.toml").write_text('[[kinds]]\nname = "a"\nglob = "x"\n')
    given = [each.replace("{url}", url) for each in arguments]
    error = towline.json("clone", *given, code=2 if "../up" not in given else 1)["error"]
    assert error["code"] in ("invalid_value", "invalid_path", "usage")
    assert left(towline.folder) == ["bad.toml"]
