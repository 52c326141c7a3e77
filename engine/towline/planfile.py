"""Plans as JSON text: to be stored, read by people, and applied later.

The text has a fingerprint of the plan, so that one that was damaged or altered is refused.
"""

from __future__ import annotations

import json
import re
from hashlib import sha256
from typing import Any

from towline.codec import decode, encode
from towline.errors import InvalidPlan, InvalidValue
from towline.plan import Plan

_FORMAT = 1


def dump_plan(plan: Plan) -> str:
    """Return the plan as an indented JSON document."""
    body = encode(plan)
    document = {"towline_plan": _FORMAT, "fingerprint": _fingerprint(body), "plan": body}
    return json.dumps(document, indent=2, ensure_ascii=False, sort_keys=True) + "\n"


def load_plan(text: str) -> Plan:
    """Return the plan that `dump_plan` made this text of.

    Raises:
        InvalidPlan: it is no plan, of another version, damaged, or altered.
    """
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        raise InvalidPlan(problem="it is not JSON") from None
    if not isinstance(document, dict) or document.get("towline_plan") != _FORMAT:
        raise InvalidPlan(problem=f"it is not a plan of version {_FORMAT}")
    body = document.get("plan")
    if document.get("fingerprint") != _fingerprint(body):
        raise InvalidPlan(problem="its fingerprint does not match: it was altered")
    try:
        plan = decode(Plan, body, "plan")
    except InvalidValue as error:
        raise InvalidPlan(problem=error.message) from None
    if problem := _problem(plan):
        raise InvalidPlan(problem=problem)
    return plan


def _problem(plan: Plan) -> str | None:
    """Return what no merge makes of a plan, though the fingerprint fits."""
    if any(edit.before is None and edit.after is None for edit in plan.edits):
        return "an edit has no side"
    for revision in (plan.revision, plan.before.base, plan.after.base):
        if revision is not None and not _REVISION.fullmatch(revision):
            return f"{revision[:50]!r} is not a revision"
    states = (plan.before, plan.after)
    counts = [count for state in states for count in (state.tracked, state.tracked_bytes)]
    return None if all(0 <= count < 2**63 for count in counts) else "a count is out of bounds"


_REVISION = re.compile(r"[0-9a-f]{40}")


def _fingerprint(body: Any) -> str:
    text = json.dumps(body, sort_keys=True, separators=(",", ":"))
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
