"""A runtime over the database of a test."""

from __future__ import annotations

from pydantic import SecretStr

from tests.server.runs.git_tenant import GitTenant
from towline.remotes.url import Scheme
from towline_server.runs.runtime import Runtime, open_runtime
from towline_server.settings import Settings


def opened(tenant: GitTenant, url: str, **changes) -> Runtime:
    settings = Settings(
        data_dir=tenant.folder / "data",
        database_url=url,
        secret_keys=(SecretStr("x" * 32),),
        remote_schemes=frozenset({Scheme.HTTP, Scheme.HTTPS}),
        remote_networks=("127.0.0.0/8",),
        **changes,
    )
    return open_runtime(settings, tenant.database, tenant.sealer)
