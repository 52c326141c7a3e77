"""The dialects: thin views of one domain; a module only parses, authorises, calls and renders.

A module's ``DIALECT`` joins here.
"""

from towline_server import api
from towline_server.web.dialect import Dialect

from . import codat, connections, nected, snaplogic, syncs

DIALECTS: tuple[Dialect, ...] = (
    api.DIALECT,
    codat.DIALECT,
    connections.DIALECT,
    nected.DIALECT,
    snaplogic.DIALECT,
    syncs.DIALECT,
)
