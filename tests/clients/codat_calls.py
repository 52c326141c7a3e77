"""Every call of a ``codat-platform`` client for what is offered here; run by it, in its Python.

Reads ``{"urls", "key", "reader", "company", "connection"}`` from standard input; prints what each
call gave as JSON: a value, or ``{"error": class, "status": number}``.
"""

from __future__ import annotations

import base64
import dataclasses
import importlib
import importlib.util
import json
import sys
import uuid
from collections.abc import Callable
from typing import Any

NEW = importlib.util.find_spec("codat_platform") is not None
PACKAGE = "codat_platform" if NEW else "codatplatform"
CodatPlatform = importlib.import_module(PACKAGE).CodatPlatform
operations, shared, errors = (
    importlib.import_module(f"{PACKAGE}.models.{name}")
    for name in ("operations", "shared", "errors")
)
retries = importlib.import_module(f"{PACKAGE}.utils{'.retries' if NEW else ''}")
ONCE = retries.RetryConfig("none", None, False)


def client(url: str, key: str) -> Any:
    header = "Basic " + base64.b64encode(key.encode()).decode()
    given: dict[str, Any] = {"server_url": url, "retry_config": ONCE}
    if NEW:
        # The client's own transport sleeps for as long as Retry-After says.
        given["client"] = importlib.import_module("httpx").Client()
    return CodatPlatform(security=shared.Security(auth_header=header), **given)


def plain(answer: Any) -> Any:
    """The value of an answer; the older client wraps it in a response."""
    if answer is None or hasattr(answer, "model_dump"):
        return answer and answer.model_dump(mode="json", by_alias=True)
    wrapped = {"content_type", "status_code", "raw_response"}
    values = [
        getattr(answer, each.name)
        for each in dataclasses.fields(answer)
        if each.name not in wrapped
    ]
    return values[0].to_dict(encode_json=True) if values and values[0] is not None else None


def tried(call: Callable[..., Any], request: Any) -> Any:
    try:
        return plain(call(request=request))
    except (errors.ErrorMessage, errors.SDKError) as error:
        data = getattr(error, "data", error)
        known = isinstance(error, errors.ErrorMessage)
        return {
            "error": type(error).__name__,
            "status": data.status_code if known else error.status_code,
            **({"message": data.error, "again": data.can_be_retried} if known else {}),
        }


def calls(url: str, key: str, company: str, connection: str, operation: str) -> dict[str, Any]:
    """Every call once."""
    one, ask = client(url, key), operations
    bills = ask.RefreshDataTypeRequest(
        company_id=company, data_type=shared.SchemaDataType.BILLS, connection_id=connection
    )
    made = {
        "companies": (one.companies.list, ask.ListCompaniesRequest()),
        "company": (one.companies.get, ask.GetCompanyRequest(company_id=company)),
        "connections": (one.connections.list, ask.ListConnectionsRequest(company_id=company)),
        "connection": (
            one.connections.get,
            ask.GetConnectionRequest(company_id=company, connection_id=connection),
        ),
        "all": (one.refresh_data.all, ask.RefreshCompanyDataRequest(company_id=company)),
        "queued": (one.refresh_data.by_data_type, bills),
        "history": (
            one.refresh_data.list_pull_operations,
            ask.ListPullOperationsRequest(
                company_id=company, query="dataType=bills", order_by="-requested", page_size=2
            ),
        ),
        "operation": (
            one.refresh_data.get_pull_operation,
            ask.GetPullOperationRequest(company_id=company, dataset_id=operation),
        ),
        "status": (one.refresh_data.get, ask.GetCompanyDataStatusRequest(company_id=company)),
    }
    return {name: tried(call, request) for name, (call, request) in made.items()}


def refused_queries(url: str, key: str, company: str) -> dict[str, Any]:
    one, ask = client(url, key), operations
    return {
        "companies": tried(one.companies.list, ask.ListCompaniesRequest(query="name")),
        "connections": tried(
            one.connections.list, ask.ListConnectionsRequest(company_id=company, page=0)
        ),
        "history": tried(
            one.refresh_data.list_pull_operations,
            ask.ListPullOperationsRequest(company_id=company, order_by="nothing"),
        ),
    }


def main() -> None:
    given = json.load(sys.stdin)
    urls, key, unknown = given["urls"], given["key"], str(uuid.uuid4())
    known = (given["company"], given["connection"])
    good = calls(urls["good"], key, *known, given["operation"])
    json.dump(
        {
            "good": good,
            "400": refused_queries(urls["good"], key, given["company"]),
            "401": calls(urls["good"], "twl_wrong", *known, unknown),
            "403": calls(urls["good"], given["reader"], *known, unknown),
            "404": calls(urls["good"], key, unknown, unknown, unknown),
            "404 none": calls(urls["good"], key, "none", "none", "none"),
            "429": calls(urls["limited"], key, *known, unknown),
            "500": calls(urls["broken"], key, *known, unknown),
            "503": calls(urls["stopped"], key, *known, unknown),
        },
        sys.stdout,
    )


if __name__ == "__main__":
    main()
