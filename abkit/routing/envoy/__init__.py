"""Plan → plain Envoy: files that a running Envoy takes up when they are replaced.

The users are split by Envoy's own hash where it can say all of the plan: weighted clusters with `use_hash_policy`, over
the unit's header rewritten to `SALT:VALUE`. Elsewhere by the bucket header, which a Lua filter computes (or a service
before this Envoy). Both are the same hash.

References: https://www.envoyproxy.io/docs/envoy/latest/api-v3/api (config/route, config/cluster, config/bootstrap),
https://www.envoyproxy.io/docs/envoy/latest/configuration/overview/xds_api.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from abkit.routing.base import Manifest
from abkit.routing.envoy.files import files, is_intact
from abkit.routing.plan import Plan

__all__ = ["Envoy", "files", "is_intact"]


class Envoy:
    """Envoy's clusters, routes, listener and bootstrap, as files."""

    name: Final = "envoy"

    def render(self, plan: Plan) -> tuple[Manifest, ...]:
        """The files of a plan, clusters before the routes that need them.

        Raises:
            RoutingError: Envoy can't do it.
        """
        return files([plan])

    def render_together(self, plans: Iterable[Plan]) -> tuple[Manifest, ...]:
        """The files of several services; those that name the same Envoy share it.

        Raises:
            RoutingError: Envoy can't do it, or two services contradict each other.
        """
        return files(plans)
