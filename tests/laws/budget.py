"""How many examples each law gets: in the profile ``ci`` as written here, in others a share."""

from __future__ import annotations

from hypothesis import settings

TOTAL = 20_000
PROFILES = {"dev": 5, "ci": 100, "deep": 1_000}
"""The percentage of the budget that each profile spends; what other properties get in all."""

EXAMPLES = {
    "the case table": 3_000,
    "sparse equals full": 1_500,
    "ours alone is base": 1_000,
    "theirs alone is base": 800,
    "both are the same": 1_000,
    "locality": 1_000,
    "no invented bytes": 800,
    "swap symmetry": 1_000,
    "use_theirs on all": 900,
    "use_ours on all": 1_000,
    "pins settle conflicts": 1_200,
    "accounted once": 1_000,
    "ours and report": 1_000,
    "saved sides": 600,
    "lapsed resolutions": 400,
    "no local edit is lost": 1_200,
    "pull twice": 1_000,
    "deterministic": 400,
    "dry run": 500,
    "failures": 300,
    "machine": 400,
}
"""How often each law of a merge of trees is tried."""

CONTENT_EXAMPLES = {
    "content: ours alone is base": 3_000,
    "content: theirs alone is base": 2_000,
    "content: both are the same": 2_000,
    "content: swap symmetry": 3_000,
    "content: no invented value": 2_500,
    "content: no lost edit": 3_000,
    "content: key order": 1_500,
    "content: twice": 1_500,
    "content: bytes": 1_500,
}
"""The same for the laws of a merge inside one asset."""


def law(name: str) -> settings:
    """The settings of a law's property."""
    profile = settings.default
    assert profile is not None
    return settings(
        max_examples=max(1, (EXAMPLES | CONTENT_EXAMPLES)[name] * profile.max_examples // 100)
    )
