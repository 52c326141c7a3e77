"""Strategies for the string formats that the OpenAPI document names (`towline_server.web.schemas`).

Most values name what `tests.server.populated` has, so that requests get past what is not there.
A value is made of a seed, at once: schemathesis asks for many before it gives a length up.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from random import Random
from types import MappingProxyType

import schemathesis
from hypothesis import strategies as st

from towline_server.demo import tenancy
from towline_server.web import schemas

Make = Callable[[Random], str]


def _word(random: Random) -> str:
    length = random.randint(1, 12)
    letters = random.choices("abcdefghijklmnopqrstuvwxyzÄßΩ的-_ 0123456789", k=length)
    return "".join(letters).strip(" -") or "x"


def _one_of(*words: str | Make) -> Make:
    def make(random: Random) -> str:
        chosen = random.choice(words)
        return chosen if isinstance(chosen, str) else chosen(random)

    return make


def _joined(*parts: str | Make) -> Make:
    makes = [_one_of(part) for part in parts]
    return lambda random: "/".join(make(random) for make in makes)


def _tag(random: Random) -> str:
    return f'"{random.getrandbits(160):040x}"'


# --- Codat's query language ---------------------------------------------------------------------

_STRING, _NUMBER, _TIME, _FLAG = "string", "number", "time", "flag"
COMPANY = MappingProxyType({"id": _STRING, "name": _STRING, "created": _TIME})
OPERATION = MappingProxyType(
    {
        **dict.fromkeys(("id", "companyId", "connectionId", "dataType", "status"), _STRING),
        **dict.fromkeys(("statusDescription", "errorMessage"), _STRING),
        **dict.fromkeys(("requested", "completed"), _TIME),
        "progress": _NUMBER,
        "isErrored": _FLAG,
    }
)
"""What can be asked of the results of Codat's lists, and of which sort it is."""

_EQUAL, _ORDERED = ("=", "!="), ("=", "!=", "<", "<=", ">", ">=")
_OPERATORS = {_STRING: (*_EQUAL, "~"), _NUMBER: _ORDERED, _TIME: _ORDERED, _FLAG: _EQUAL}
_VALUES: Mapping[str, Make] = {
    _STRING: _one_of("rule", "Complete", str(tenancy.RULES_PROJECT), _word),
    _NUMBER: _one_of("0", "0.5", "-100.25", lambda random: str(random.randint(-(10**20), 10**20))),
    _TIME: lambda random: datetime.fromtimestamp(random.randint(0, 2**34), UTC).isoformat(),
    _FLAG: _one_of("true", "false", "True"),
}


def _query(fields: Mapping[str, str], random: Random, deepest: int = 4) -> str:
    """A query (`towline_server.dialects.codat.query`) over some fields."""
    terms = [_term(fields, random, deepest) for _ in range(random.randint(1, 3))]
    return "".join(f"{sign}{term}" for sign, term in zip(_signs(random), terms, strict=False))


def _signs(random: Random) -> list[str]:
    return ["", *random.choices(["&&", "||", " && ", " || "], k=3)]


def _term(fields: Mapping[str, str], random: Random, deepest: int) -> str:
    if deepest and random.random() < 0.3:
        return f"{{{_query(fields, random, deepest - 1)}}}"
    name = random.choice(sorted(fields))
    sort, blank = fields[name], random.choice(["", " "])
    return blank.join([name, random.choice(_OPERATORS[sort]), _VALUES[sort](random), ""])


# --- the formats --------------------------------------------------------------------------------

FORMATS: Mapping[str, Make] = MappingProxyType(
    {
        schemas.ASSET_ID: _word,
        schemas.ASSET_PATH: _joined(_one_of("rules", "tables", "elsewhere"), _word),
        schemas.CRON: _one_of("0 4 * * *", "*/5 * * * *", "0 0 29 2 *", "0 0 * * 1"),
        schemas.FOLDER: _one_of("", _word, _joined("/rules", _word, "")),
        # It comes in a header, whose bytes are UTF-8.
        schemas.GIT_BRANCH: _one_of("main", "live", "nothing", "größe".encode().decode("latin-1")),
        schemas.GIT_REF: _one_of("heads/main", "main", "HEAD", "refs/heads/main", "0" * 40),
        schemas.BUCKET_URL: _one_of("http://127.0.0.1/bucket", "https://s3.demo.example/b/prefix"),
        schemas.DATABASE_URL: _one_of("postgresql://db.demo.example/rules"),
        schemas.HTTP_URL: _one_of("https://api.demo.example/rules", "http://127.0.0.1/list"),
        schemas.GIT_URL: _one_of(
            "http://127.0.0.1/nothing.git", "http://someone:secret@127.0.0.1:8080/nothing.git"
        ),
        schemas.GLOB: _one_of("**", "rules/**", "*.json", "[a-c]?", "/top/*", _word),
        schemas.NAME: _word,
        schemas.PLAN: _one_of("a plan"),
        schemas.PROJECT_PATH: _joined(_one_of(tenancy.TENANT, f"/{tenancy.TENANT}"), _word, _word),
        schemas.SFTP_URL: _one_of("sftp://files.demo.example/rules", "sftp://a@127.0.0.1:22/"),
        schemas.TAG_OR_ANY: _one_of("*", _tag),
        schemas.TIME_ZONE: _one_of("", "UTC", "Europe/Berlin", "America/New_York"),
        "company-query": _one_of("", lambda random: _query(COMPANY, random)),
        "operation-query": _one_of("", lambda random: _query(OPERATION, random)),
    }
)


def register() -> None:
    """Show schemathesis how to make values of each format."""
    seeds = st.integers(0, 2**32 - 1)
    for name, make in FORMATS.items():
        schemathesis.openapi.format(name, seeds.map(Random).map(make))
