"""Plan → Gateway API and what goes by its routes: HTTPRoute of Gateway API and of Linkerd, and SMI's TrafficSplit.

References: https://gateway-api.sigs.k8s.io/reference/spec/, https://linkerd.io/2/reference/httproute/,
https://linkerd.io/2/reference/retries/, https://linkerd.io/2/reference/timeouts/,
https://linkerd.io/2/reference/circuit-breaking/, https://github.com/servicemeshinterface/smi-spec (TrafficSplit).
"""

from __future__ import annotations

from abkit.routing.gateway.gatewayapi import GatewayApi
from abkit.routing.gateway.linkerd import Linkerd
from abkit.routing.gateway.smi import Smi

__all__ = ["GatewayApi", "Linkerd", "Smi"]
