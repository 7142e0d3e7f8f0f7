"""The filter that computes a request's buckets at a gateway: Lua, as Envoy and Istio's gateways run it.

It takes what a client sent under abkit's names off the request, hashes the unit as `abkit.assignment` does (xxh64, in
LuaJIT's 64-bit integers) and writes the bucket of each layer and the replicate.

Reference: https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md (XXH64).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from abkit.assignment import (
    BUCKETS,
    REPLICATE_HEADER,
    REPLICATE_SALT,
    assignment_header,
    bucket_header,
    experiment_header,
    variant_header,
)
from abkit.routing.plan import Layer, Plan

__all__ = ["edge_filter", "lua_string"]

_HASH: Final = """\
local P1, P2, P3 = 0x9E3779B185EBCA87ULL, 0xC2B2AE3D27D4EB4FULL, 0x165667B19E3779F9ULL
local P4, P5 = 0x85EBCA77C2B2AE63ULL, 0x27D4EB2F165667C5ULL
local rol, xor, shr = bit.rol, bit.bxor, bit.rshift

local function u32(text, at)
  local a, b, c, d = text:byte(at, at + 3)
  return 0ULL + a + b * 256 + c * 65536 + d * 16777216
end

local function u64(text, at)
  return u32(text, at) + u32(text, at + 4) * 4294967296ULL
end

local function round(sum, lane)
  return rol(sum + lane * P2, 31) * P1
end

local function merged(sum, lane)
  return xor(sum, round(0ULL, lane)) * P1 + P4
end

local function xxh64(text)
  local length, at = #text, 1
  local hash
  if length >= 32 then
    local a, b, c, d = P1 + P2, P2, 0ULL, 0ULL - P1
    while length - at + 1 >= 32 do
      a, b = round(a, u64(text, at)), round(b, u64(text, at + 8))
      c, d = round(c, u64(text, at + 16)), round(d, u64(text, at + 24))
      at = at + 32
    end
    hash = rol(a, 1) + rol(b, 7) + rol(c, 12) + rol(d, 18)
    hash = merged(merged(merged(merged(hash, a), b), c), d)
  else
    hash = 0ULL + P5
  end
  hash = hash + length
  while length - at + 1 >= 8 do
    hash = rol(xor(hash, round(0ULL, u64(text, at))), 27) * P1 + P4
    at = at + 8
  end
  if length - at + 1 >= 4 then
    hash = rol(xor(hash, u32(text, at) * P1), 23) * P2 + P3
    at = at + 4
  end
  while at <= length do
    hash = rol(xor(hash, text:byte(at) * P5), 11) * P1
    at = at + 1
  end
  hash = xor(hash, shr(hash, 33)) * P2
  hash = xor(hash, shr(hash, 29)) * P3
  return xor(hash, shr(hash, 32))
end

local function share(salt, unit, parts)
  return string.format("%d", tonumber(xxh64(salt .. ":" .. unit) % parts))
end
"""

# What a WSGI server hands on as HTTP_X_AB_... whether it was written with dashes or not.
_DISGUISED: Final = """\

local function disguised(headers)
  local found = {}
  for name in pairs(headers) do
    if name:find("_", 1, true) and name:gsub("_", "-"):sub(1, 5) == "x-ab-" then
      table.insert(found, name)
    end
  end
  return found
end
"""

_COOKIE: Final = """\

local function cookie(headers, wanted)
  for pair in string.gmatch(headers:get("cookie") or "", "[^;]+") do
    local name, value = string.match(pair, "^%s*([^=%s]+)=(.-)%s*$")
    if name == wanted then
      return value
    end
  end
end
"""


def edge_filter(plan: Plan, layers: Iterable[Layer] = (), hosts: Iterable[str] = ()) -> str:
    """Lua source of the filter for the layers that a plan's routes read.

    Args:
        plan: The plan.
        layers: Further layers whose headers no client may send: other services behind the same edge read them.
        hosts: Host names that the filter is for, `*.` for a part; all where left out. A gateway runs the filters of all
            services: one of another unit must not write its replicate over ours.

    >>> from abkit.routing.building import build_plan
    >>> from abkit.spec import Experiment
    >>> spec = Experiment.model_validate(
    ...     {"service": "shop", "variants": {"control": "v1", "treatment": "v2"}, "metrics": ["conversion"]}
    ... )
    >>> 'headers:replace("x-ab-bucket-shop", share("shop", unit, 10000ULL))' in edge_filter(build_plan(spec))
    True
    """
    lines = ["function envoy_on_request(handle)", "  local headers = handle:headers()", *_only_for(hosts)]
    lines += [f"  headers:remove({lua_string(name)})" for name in _ours((*plan.layers, *layers))]
    lines += ["  for _, name in ipairs(disguised(headers)) do", "    headers:remove(name)", "  end"]
    for unit in dict.fromkeys((layer.header, layer.cookie) for layer in plan.layers):
        header, cookie = unit
        lookup = f"cookie(headers, {lua_string(cookie)})" if cookie else f"headers:get({lua_string(header or '')})"
        lines += ["  do", f"    local unit = {lookup}", '    if unit ~= nil and unit ~= "" then']
        for layer in plan.layers:
            if (layer.header, layer.cookie) == unit:
                lines.append(_replace(bucket_header(layer.name), layer.salt, BUCKETS))
        if unit == (plan.layers[0].header, plan.layers[0].cookie):
            lines.append(_replace(REPLICATE_HEADER, REPLICATE_SALT, plan.replicates))
        lines += ["    end", "  end"]
    # The route was chosen before the filter ran: choose again, by the buckets.
    lines += ["  handle:clearRouteCache()", "end"]
    cookies = _COOKIE if any(layer.cookie for layer in plan.layers) else ""
    return f"{_HASH}{_DISGUISED}{cookies}\n" + "\n".join(lines) + "\n"


def _only_for(hosts: Iterable[str]) -> list[str]:
    tests = [
        f"host:sub(-{len(host) - 1}) == {lua_string(host[1:])}"
        if host.startswith("*.")
        else f"host == {lua_string(host)}"
        for host in hosts
    ]
    if not tests:
        return []
    authority = '  local host = string.match(string.lower(headers:get(":authority") or ""), "^[^:]*")'
    return [authority, f"  if not ({' or '.join(tests)}) then", "    return", "  end"]


def _ours(layers: Iterable[Layer]) -> list[str]:
    headers = [REPLICATE_HEADER]
    for layer in dict.fromkeys(layer.name for layer in layers):
        headers += [name(layer) for name in (assignment_header, bucket_header, experiment_header, variant_header)]
    return headers


def _replace(header: str, salt: str, parts: int) -> str:
    return f"      headers:replace({lua_string(header)}, share({lua_string(salt)}, unit, {parts}ULL))"


def lua_string(text: str) -> str:
    r"""Text as a Lua literal; whatever is not a plain character stands as its bytes' numbers.

    >>> print(lua_string('a"]]\n'))
    "a\034\093\093\010"
    """
    plain = (
        chr(byte) if chr(byte).isascii() and (chr(byte).isalnum() or chr(byte) in "-_. :") else f"\\{byte:03d}"
        for byte in text.encode()
    )
    return f'"{"".join(plain)}"'
