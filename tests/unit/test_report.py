"""The report, a function of the plan, and its JSON form."""

from __future__ import annotations

import json
from typing import Any

from tests.laws.merging import REFUSE, plan_of
from tests.unit.projects import id_of, project
from towline.model import AssetPath
from towline.options import Resolutions
from towline.plan import IgnoredReason
from towline.report import Report, Status, reason_message, report_json, report_of
from towline.testing.sides import BASE, THEIRS

EVERYTHING = project(
    "update=1 delete=1 decline=1 overwrite=1 keep=1",
    "update=1 delete=1 decline=1 overwrite=9 keep=8",
    "update=2 decline=2 overwrite=2 keep=1 create=3 link=@",
)


def everything() -> Report:
    resolutions = Resolutions(
        use_theirs=frozenset([id_of("overwrite")]), use_ours=frozenset([id_of("decline")])
    )
    return report_of(plan_of(EVERYTHING, resolutions, REFUSE))


def test_each_asset_is_in_one_list():
    report = everything()
    lists = (report.overwritten, report.updated, report.created, report.deleted, report.ignored)
    assert [[item.path for item in each] for each in lists] == [
        ["overwrite"],
        ["update"],
        ["create"],
        ["delete"],
        ["decline", "link"],
    ]
    assert len(report.listed) == 6
    assert (report.status, report.base, report.revision) == (Status.UPDATED, BASE, THEIRS)


def test_a_refused_plan_lists_its_conflicts_alone():
    report = report_of(plan_of(project("a=1 b=1", "a=2 b=1", "a=3 b=2"), options=REFUSE))
    assert (report.status, report.listed) == (Status.CONFLICTS, ())
    assert [conflict.path for conflict in report.conflicts] == ["a"]
    (message,) = report.error_msgs
    assert "content" in message
    assert "a" in message
    assert id_of("a") in message


def test_the_message_names_what_is_in_the_way():
    report = report_of(plan_of(project("", "a/x=1", "a=2"), options=REFUSE))
    (message,) = report.error_msgs
    assert "move a/x out of the way" in message


def test_the_json_form_has_every_field():
    shown: dict[str, Any] = json.loads(json.dumps(report_json(everything())))
    assert list(shown) == [
        "status",
        "base",
        "revision",
        "overwritten",
        "updated",
        "created",
        "deleted",
        "ignored",
        "behind",
        "conflicts",
        "error_msgs",
        "notes",
        "history_rewritten",
    ]
    (overwritten,) = shown["overwritten"]
    assert set(overwritten) == {
        "asset_id",
        "path",
        "name",
        "kind",
        "rule",
        "before",
        "after",
        "renamed_from",
        "merged",
        "discarded",
        "resolved",
        "merged_by",
        "reason",
        "behind",
    }
    assert (overwritten["rule"], overwritten["discarded"]) == (8, True)
    assert set(overwritten["before"]) == {"path", "digest", "executable"}
    assert shown["created"][0]["before"] is None
    assert shown["deleted"][0]["after"] is None
    assert [item["reason"] for item in shown["ignored"]] == ["declined", "symlink"]
    assert shown["ignored"][1]["asset_id"] is None


def test_a_conflict_in_json_has_its_parties_on_three_sides():
    shown: Any = report_json(report_of(plan_of(project("a=1", "a=2", ""), options=REFUSE)))
    (conflict,) = shown["conflicts"]
    assert (conflict["kind"], conflict["path"], conflict["blockers"]) == ("modify/delete", "a", [])
    (party,) = conflict["parties"]
    assert (party["asset_id"], party["name"], party["theirs"]) == (id_of("a"), "a", None)
    assert party["base"]["digest"] != party["ours"]["digest"]


def test_every_reason_has_words():
    path = AssetPath("a/b")
    assert len({reason_message(reason, path) for reason in IgnoredReason}) == len(IgnoredReason)
    for hidden in (".gitignore", ".github/ci.yml", "a/.b"):
        assert "dot file" in reason_message(IgnoredReason.NOT_AN_ASSET, AssetPath(hidden))
        assert "dot file" not in reason_message(IgnoredReason.SYMLINK, AssetPath(hidden))
