"""Stored plans."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from towline import apply
from towline_server.db import Database
from towline_server.errors import NotFound
from towline_server.projects.stored_plans import StoredPlans

from .pulled import make_project

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def test_a_stored_plan_comes_back_and_can_be_applied(database: Database):
    here = make_project(database)
    plan = here.plan(a=b"1")
    with database.writing() as session:
        plan_id = StoredPlans(session, here.project_id).put(plan, NOW)
    with database.reading() as session:
        stored = StoredPlans(session, here.project_id).find(plan_id).plan
    assert stored == plan
    apply(stored, here.store, contents=here.remote)
    assert here.contents() == {"a": b"1"}


def test_a_stored_plan_is_its_projects_alone(database: Database):
    here, there = make_project(database), make_project(database)
    with database.writing() as session:
        plan_id = StoredPlans(session, here.project_id).put(here.plan(a=b"1"), NOW)
        StoredPlans(session, there.project_id).remove(plan_id)
        with pytest.raises(NotFound):
            StoredPlans(session, there.project_id).find(plan_id)
        StoredPlans(session, here.project_id).find(plan_id)


def test_a_stored_plan_is_removed_by_its_id(database: Database):
    here = make_project(database)
    plan = here.plan(a=b"1")
    with database.writing() as session:
        plans = StoredPlans(session, here.project_id)
        stays, goes = plans.put(plan, NOW), plans.put(plan, NOW)
        plans.remove(goes)
        with pytest.raises(NotFound):
            plans.find(goes)
        assert plans.find(stays).plan == plan
