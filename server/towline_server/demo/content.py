"""The content of the demo's repositories: the first commits, the local edits, a later commit."""

from __future__ import annotations

import json
from pathlib import Path

from towline.kinds import Kind, Kinds
from towline.model import AssetPath, Revision
from towline.testing.git_repository import GitRepository
from towline_server.projects.store import SqlStore

KINDS_OF_RULES = Kinds(
    (
        Kind(name="rule", globs=("rules/**",)),
        Kind(name="table", globs=("tables/**",), data_type="taxRates"),
    )
)
KINDS_OF_PIPELINES = Kinds(
    (Kind(name="pipeline", globs=("pipelines/**",)), Kind(name="task", globs=("tasks/**",)))
)
PIPELINES_BRANCH = "live"

_DISCOUNT = "rules/discount.json"


def _rule(when: str, then: str, *, priority: int = 10) -> bytes:
    return _document({"priority": priority, "then": then, "when": when})


def _document(value: object) -> bytes:
    return (json.dumps(value, indent=2, sort_keys=True) + "\n").encode()


def _discount(then: str, gold: int, **more: object) -> bytes:
    """The rule that both sides edit: some of its fields clash, the rest merge."""
    tiers = [
        {"from": 1000, "id": "silver", "percent": 5},
        {"from": 5000, "id": "gold", "percent": gold},
    ]
    rule = {"priority": 10, "then": then, "tiers": tiers, "when": "order.total >= 1000"}
    return _document({**rule, **more})


_RULES = {
    "README.md": b"Rules of a shop.\n",
    _DISCOUNT: _discount("order.discount = 5", 8),
    "rules/express.json": _rule("parcel.weight <= 5", "parcel.service = 'express'"),
    "rules/clearance.json": _rule("item.clearance", "item.discount = 40", priority=20),
    "tables/tax rates.csv": b"region,rate\nnorth,19\nsouth,21\n",
}
_NEWS = {
    **{path: content for path, content in _RULES.items() if path != "rules/clearance.json"},
    _DISCOUNT: _discount("order.discount = 4", 9, priority=20, limit=500),
    "rules/welcome.json": _rule("customer.orders == 0", "order.discount += 1"),
    "tables/tax rates.csv": b"region,rate\nnorth,19\nsouth,22\n",
}
_PIPELINES = {
    "pipelines/orders to ledger.json": _document({"steps": ["read", "map", "write"]}),
    "pipelines/stock levels.json": _document({"steps": ["read", "write"]}),
    "tasks/nightly.json": _document({"at": "02:00", "pipeline": "orders to ledger"}),
}


def make_repositories(root: Path) -> None:
    """Make two bare repositories: ``rules.git`` and ``pipelines.git``."""
    GitRepository(root / "rules.git").commit(_RULES)
    GitRepository(root / "pipelines.git").commit(_PIPELINES, ref=PIPELINES_BRANCH)


def edit_rules(store: SqlStore) -> None:
    """Edit two rules as users do: one edit will conflict, the other will not."""
    store.put(AssetPath(_DISCOUNT), _discount("order.discount = 7", 10, note="for the summer"))
    store.put(
        AssetPath("rules/express.json"), _rule("parcel.weight <= 8", "parcel.service = 'express'")
    )


def publish_news(root: Path) -> Revision:
    """Commit to rules after the first pull: an update, a new rule, one less, and the conflict."""
    return GitRepository(root / "rules.git").commit(_NEWS, time=1_700_086_400)
