"""Two-sided edits of ten products' assets, merged by the preset's kinds."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pytest

from towline import AssetPath, MemoryRemote, MemoryStore, pull
from towline.presets import load_preset, preset_names


@dataclass(frozen=True, slots=True, kw_only=True)
class AssetCase:
    """An asset in its three states; ``merged`` is what a pull makes of it, None a conflict."""

    preset: str
    path: str
    base: str
    ours: str
    theirs: str
    merged: str | None


def replaced(base: str, *changes: tuple[str, str]) -> str:
    for old, new in changes:
        assert base.count(old) == 1, old
        base = base.replace(old, new)
    return base


def edit(
    preset: str,
    path: str,
    base: str,
    ours: list[tuple[str, str]],
    theirs: list[tuple[str, str]],
    merged: list[tuple[str, str]] | None = None,
    *,
    conflicts: bool = False,
) -> AssetCase:
    """An edit given as replacements; without ``merged`` the result has those of both sides."""
    both = merged if merged is not None else [*ours, *theirs]
    return AssetCase(
        preset=preset,
        path=path,
        base=base,
        ours=replaced(base, *ours),
        theirs=replaced(base, *theirs),
        merged=None if conflicts else replaced(base, *both),
    )


def document(value: object) -> str:
    return json.dumps(value, indent=2) + "\n"


N8N = document(
    {
        "id": "w1",
        "name": "Orders",
        "nodes": [
            {"id": "n1", "name": "Hook", "parameters": {"path": "in"}, "position": [0, 10]},
            {
                "id": "n2",
                "name": "Send",
                "parameters": {"url": "http://shop"},
                "credentials": {"api": {"id": "c1"}},
            },
        ],
        "connections": {"Hook": {"main": [[{"node": "Send"}]]}},
        "updatedAt": "2026-01-01",
        "versionId": "v-base",
    }
)
GRAFANA = document(
    {
        "uid": "d1",
        "title": "Service",
        "version": 7,
        "panels": [
            {"id": 1, "title": "Errors", "targets": [{"refId": "A", "expr": "errors"}]},
            {"id": 2, "title": "Latency", "targets": [{"refId": "A", "expr": "p99"}]},
        ],
        "templating": {"list": [{"name": "cluster", "query": "label_values(c)"}]},
    }
)
NODE_RED = document(
    [
        {"id": "a1", "type": "tab", "label": "Flow"},
        {"id": "b2", "type": "inject", "z": "a1", "repeat": "60"},
        {"id": "c3", "type": "debug", "z": "a1", "active": True},
    ]
)
SNAPLOGIC = document(
    {
        "instance_version": 3,
        "snap_map": {
            "s1": {"property_map": {"settings": {"batch": 10}, "account": {"ref": "shop"}}},
            "s2": {"property_map": {"settings": {"table": "orders"}}},
        },
        "link_map": {"l1": {"src": "s1", "dst": "s2"}},
    }
)
FABRIC = document(
    {
        "properties": {
            "activities": [
                {"name": "Copy", "policy": {"retry": 0}},
                {"name": "Notify", "policy": {"retry": 1}},
            ],
            "lastPublishTime": "2026-01-01T00:00:00Z",
        }
    }
)
NOTEBOOK = document(
    {
        "cells": [
            {"id": "a", "cell_type": "code", "execution_count": 1, "source": ["x = 1"]},
            {"id": "b", "cell_type": "code", "execution_count": 2, "source": ["x + 1"]},
        ],
        "metadata": {"language_info": {"version": "3.11"}},
    }
)
AUTOMATIONS = """\
- id: '1'
  alias: Lights on
  trigger:
    platform: sun
    event: sunset
- id: '2'
  alias: Lights off
  trigger:
    platform: time
    at: '23:00'
"""
MODEL = """\
select
    id,
    amount
from orders
where amount > 0
group by id
order by id
"""
PROPERTIES = """\
models:
  - name: orders
    description: All orders
    columns:
      - name: id
        tests: [unique]
  - name: returns
    description: All returns
"""
DAG = """\
from airflow import DAG

dag = DAG("orders", schedule="@daily")

extract = Task("extract", retries=1)
load = Task("load", retries=1)

extract >> load
"""
MAIN_TF = """\
resource "bucket" "logs" {
  name   = "logs"
  region = "north"
}

resource "bucket" "data" {
  name   = "data"
  region = "north"
}
"""
STATE = document({"version": 4, "serial": 7, "resources": [{"name": "logs"}, {"name": "data"}]})

EDITS = [
    edit(
        "n8n",
        "workflows/w1.json",
        N8N,
        [('"path": "in"', '"path": "orders"'), ("2026-01-01", "2026-01-02"), ("v-base", "v-2")],
        [('"http://shop"', '"http://new"'), ("2026-01-01", "2026-01-03"), ("v-base", "v-3")],
        [
            ('"path": "in"', '"path": "orders"'),
            ('"http://shop"', '"http://new"'),
            ("2026-01-01", "2026-01-03"),
            ("v-base", "v-3"),
        ],
    ),
    edit(
        "n8n",
        "workflows/w1.json",
        N8N,
        [('"path": "in"', '"path": "orders"')],
        [('"id": "c1"', '"id": "c2"')],
        conflicts=True,  # a credential is never changed without a person
    ),
    edit(
        "grafana",
        "service.json",
        GRAFANA,
        [('"expr": "errors"', '"expr": "rate(errors)"'), ('"version": 7', '"version": 9')],
        [('"expr": "p99"', '"expr": "p95"'), ('"version": 7', '"version": 8')],
        [
            ('"expr": "errors"', '"expr": "rate(errors)"'),
            ('"expr": "p99"', '"expr": "p95"'),
            ('"version": 7', '"version": 9'),
        ],
    ),
    edit(
        "grafana",
        "service.json",
        GRAFANA,
        [('"title": "Errors"', '"title": "Failures"')],
        [('"title": "Errors"', '"title": "Faults"')],
        conflicts=True,
    ),
    edit(
        "node-red",
        "flows.json",
        NODE_RED,
        [('"repeat": "60"', '"repeat": "30"')],
        [('"active": true', '"active": false'), ('"label": "Flow"', '"label": "Orders"')],
    ),
    edit(
        "node-red",
        "flows_cred.json",
        '{"$": "4f1a"}\n',
        [("4f1a", "99aa")],
        [("4f1a", "77bb")],
        conflicts=True,
    ),
    edit(
        "snaplogic",
        "orders.slp",
        SNAPLOGIC,
        [('"batch": 10', '"batch": 50'), ('"instance_version": 3', '"instance_version": 4')],
        [('"orders"', '"all_orders"'), ('"instance_version": 3', '"instance_version": 5')],
        [
            ('"batch": 10', '"batch": 50'),
            ('"orders"', '"all_orders"'),
            ('"instance_version": 3', '"instance_version": 5'),
        ],
    ),
    edit(
        "snaplogic",
        "orders.slp",
        SNAPLOGIC,
        [('"batch": 10', '"batch": 50')],
        [('"ref": "shop"', '"ref": "shop-2"')],
        conflicts=True,
    ),
    edit(
        "fabric",
        "Load.DataPipeline/pipeline-content.json",
        FABRIC,
        [('"retry": 0', '"retry": 3'), ("2026-01-01T", "2026-01-02T")],
        [('"retry": 1', '"retry": 2'), ("2026-01-01T", "2026-01-03T")],
        [
            ('"retry": 0', '"retry": 3'),
            ('"retry": 1', '"retry": 2'),
            ("2026-01-01T", "2026-01-03T"),
        ],
    ),
    edit(
        "jupyter",
        "analysis.ipynb",
        NOTEBOOK,
        [('"execution_count": 1', '"execution_count": 7'), ("x = 1", "x = 2")],
        [('"execution_count": 1', '"execution_count": 5'), ("x + 1", "x + 3")],
        [('"execution_count": 1', '"execution_count": 5'), ("x = 1", "x = 2"), ("x + 1", "x + 3")],
    ),
    edit(
        "home-assistant",
        "automations.yaml",
        AUTOMATIONS,
        [("event: sunset", "event: sunrise")],
        [("at: '23:00'", "at: '22:30'"), ("alias: Lights on", "alias: Lamps on")],
    ),
    edit(
        "home-assistant",
        "secrets.yaml",
        "wifi: one\nmqtt: two\n",
        [("one", "three")],
        [("two", "four")],
        conflicts=True,
    ),
    edit(
        "dbt",
        "models/orders.sql",
        MODEL,
        [("    amount\n", "    amount,\n    currency\n")],
        [("order by id", "order by id desc")],
    ),
    edit(
        "dbt",
        "models/schema.yml",
        PROPERTIES,
        [("All orders", "Every order")],
        [("All returns", "Every return"), ("[unique]", "[unique, not_null]")],
    ),
    edit(
        "airflow",
        "dags/orders.py",
        DAG,
        [('"@daily"', '"@hourly"')],
        [('Task("load", retries=1)', 'Task("load", retries=3)')],
    ),
    edit(
        "terraform",
        "main.tf",
        MAIN_TF,
        [
            (
                '"logs" {\n  name   = "logs"\n  region = "north"',
                '"logs" {\n  name   = "logs"\n  region = "south"',
            )
        ],
        [('name   = "data"', 'name   = "data-2"')],
    ),
    edit(
        "terraform",
        "terraform.tfstate",
        STATE,
        [('{\n      "name": "logs"\n    }', '{\n      "name": "log"\n    }')],
        [('{\n      "name": "data"\n    }', '{\n      "name": "dat"\n    }')],
        conflicts=True,  # git merges it into a state that describes nothing
    ),
]


def test_each_preset_has_an_edit():
    assert {each.preset for each in EDITS} == set(preset_names())


@pytest.mark.parametrize("made", EDITS, ids=lambda made: f"{made.preset}-{made.path}")
def test_the_edit_merges_or_conflicts(made: AssetCase):
    store = MemoryStore("project", kinds=load_preset(made.preset))
    remote = MemoryRemote()
    path = AssetPath(made.path)
    remote.commit({"other": b"1", path: made.base.encode()})
    pull(store, remote)
    store.put(path, made.ours.encode())
    remote.commit({"other": b"1", path: made.theirs.encode()})
    report = pull(store, remote)
    content = store.contents()[path][0].decode()
    if made.merged is None:
        assert [conflict.path for conflict in report.conflicts] == [path]
        assert content == made.ours
    else:
        assert content == made.merged
        assert [item.merged for item in report.updated] == [True]
