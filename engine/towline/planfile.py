"""Plans as JSON text: to be stored, read by people, and applied later.

The text carries a fingerprint of the plan, so that one that was damaged or altered is refused.
"""

from __future__ import annotations

import json
from hashlib import sha256
from typing import Any

from .codec import decode, encode
from .errors import InvalidPlan, InvalidValue
from .plan import Plan

_FORMAT = 1


def dump_plan(plan: Plan) -> str:
    """The plan as an indented JSON document."""
    body = encode(plan)
    document = {"towline_plan": _FORMAT, "fingerprint": _fingerprint(body), "plan": body}
    return json.dumps(document, indent=2, ensure_ascii=False, sort_keys=True) + "\n"


def load_plan(text: str) -> Plan:
    """The plan that `dump_plan` made this text of.

    Raises:
        InvalidPlan: it is no plan, of another version, damaged, or altered.
    """
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        raise InvalidPlan(problem="it is not JSON") from None
    if not isinstance(document, dict) or document.get("towline_plan") != _FORMAT:
        raise InvalidPlan(problem=f"it is no plan of version {_FORMAT}")
    body = document.get("plan")
    if document.get("fingerprint") != _fingerprint(body):
        raise InvalidPlan(problem="its fingerprint does not fit: it was altered")
    try:
        return decode(Plan, body, "plan")
    except InvalidValue as error:
        raise InvalidPlan(problem=error.message) from None


def _fingerprint(body: Any) -> str:
    text = json.dumps(body, sort_keys=True, separators=(",", ":"))
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
