"""`GET /tables/{table}/{key}`: a state as JSON, from whichever worker has it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from aiohttp import web

from tables.store import NotOwnedError
from trackstream.core.reasons import Reason
from trackstream.http.problems import Refusal, problem_response
from trackstream.http.worker.peers import ROUTED, UnreachableError

if TYPE_CHECKING:
    from tables import Tables
    from trackstream.http.worker.peers import Peers

__all__ = ["problem", "readable", "routes"]

_REASONS = {
    403: Reason.FORBIDDEN,
    404: Reason.NOT_FOUND,
    422: Reason.INVALID_VALUE,
    503: Reason.UNAVAILABLE,
}


def readable(value: Any) -> Any:
    """Structs as objects with field names, however they are stored; the rest as msgspec has it."""
    if isinstance(value, msgspec.Struct):
        fields = value.__struct_fields__
        return {name: readable(getattr(value, name)) for name in fields}
    if isinstance(value, dict):
        return {str(key): readable(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [readable(one) for one in value]
    return msgspec.to_builtins(value)


def problem(status: int, detail: str) -> web.Response:
    """A problem document (RFC 9457), whose reason is what the status means here."""
    return problem_response(Refusal(_REASONS[status], detail, retry_after_s=1))


def routes(tables: Tables, peers: Peers) -> list[web.RouteDef]:
    """The list of tables, and one state by key."""
    # Rows of counters are partial: no one worker has the whole.
    keyed = {name: one for name, one in tables.by_name().items() if one not in tables.counters}

    async def names(_request: web.Request) -> web.Response:
        return web.json_response([{"name": name, "help": one.help} for name, one in keyed.items()])

    async def one_state(request: web.Request) -> web.Response:
        table = keyed.get(request.match_info["table"])
        key = request.match_info["key"]
        if table is None:
            return problem(404, f"no table of that name; there are {', '.join(keyed)}")
        try:
            owner = peers.owner(table, key)
            if not peers.is_me(owner):
                if ROUTED in request.headers:
                    return problem(503, "workers disagree who has this key: a rebalance is on")
                status, said = await peers.get(owner, request.rel_url)
                return web.json_response(said, status=status)
            state = table.load(peers.partition(key), key)
        except (UnreachableError, NotOwnedError) as error:
            return problem(503, str(error))
        if state is None:
            return problem(404, f"{table.name} has no such key")
        return web.json_response({"table": table.name, "key": key, "value": readable(state)})

    return [web.get("/tables", names), web.get("/tables/{table}/{key:.+}", one_state)]
