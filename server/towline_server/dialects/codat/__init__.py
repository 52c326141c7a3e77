"""Codat: pull operations of one kind each, by company."""

from towline_server.web.dialect import Dialect

from .failures import render
from .routes import PREFIX, router

__all__ = ["DIALECT"]

DIALECT = Dialect(
    tag="Codat",
    description="Pull operations of one kind of asset each, by company.",
    router=router,
    prefixes=(PREFIX,),
    render=render,
)
