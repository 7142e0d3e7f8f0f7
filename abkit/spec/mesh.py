"""What the meshes need to know beside the experiment: gateways, addresses, who computes the buckets."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field, StringConstraints

from abkit.spec.base import DnsLabel, LabelValue, Model
from abkit.spec.matching import LabelName

__all__ = ["Edge", "EnvoySettings", "GatewayApiSettings", "IstioSettings", "MeshSettings", "ParentGateway"]

HostName = Annotated[
    str,
    StringConstraints(
        strict=True, pattern=r"^(\*\.)?([a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?\.)*[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$"
    ),
]
GatewayName = Annotated[
    str,
    StringConstraints(
        strict=True, pattern=r"^([a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?/)?[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$"
    ),
]
Address = Annotated[
    str, StringConstraints(strict=True, pattern=r"^[A-Za-z0-9]([-A-Za-z0-9.]{0,250}[A-Za-z0-9])?:[1-9][0-9]{0,4}$")
]
Port = Annotated[int, Field(strict=True, ge=1, le=65_535)]
FolderPath = Annotated[str, StringConstraints(strict=True, pattern=r"^(/[A-Za-z0-9_.+@-]{1,200}){1,30}$")]


class Edge(StrEnum):
    """Who computes the buckets of a request and removes what a client sent under their names."""

    GATEWAY = "gateway"
    """A filter at the gateway, rendered with the routes."""
    SERVICE = "service"
    """A service before this one, by `abkit.instrument`."""


class IstioSettings(Model):
    """Istio."""

    hosts: tuple[HostName, ...] = ()
    """Public host names of the service, beside its name in the cluster."""
    gateways: tuple[GatewayName, ...] = ()
    """Gateways that take requests from outside, `namespace/name`; the mesh's own traffic is routed in any case."""
    gateway_labels: Annotated[dict[LabelName, LabelValue], Field(min_length=1)] = Field(
        default_factory=lambda: {"istio": "ingressgateway"}
    )
    """Labels of the gateway's pods, which compute the buckets."""
    gateway_namespace: DnsLabel = "istio-system"
    """Their namespace."""
    workload_labels: dict[LabelName, LabelValue] = Field(default_factory=dict)
    """Labels of the service's own pods, all versions; {app: the service's name} where left out."""
    telemetry: bool = True
    """Whether the request count is tagged with variant, replicate and assignment."""
    native_hash: bool = False
    """Experimental: let Envoy's own hash split the users by an EnvoyFilter, in place of bucket headers."""


class ParentGateway(Model):
    """A Gateway that an HTTPRoute is attached to."""

    name: DnsLabel
    """Its name."""
    namespace: DnsLabel | None = None
    """Its namespace; the service's where left out."""
    section: DnsLabel | None = None
    """The listener; all where left out."""


class GatewayApiSettings(Model):
    """Gateway API."""

    gateways: tuple[ParentGateway, ...] = ()
    """Gateways that the routes are attached to; the service itself (GAMMA) where left out."""
    hosts: tuple[HostName, ...] = ()
    """Public host names, with gateways."""


class EnvoySettings(Model):
    """Plain Envoy."""

    name: DnsLabel | None = None
    """What this Envoy is called: services that name the same one share it. One of its own where left out."""
    hosts: tuple[HostName, ...] = ()
    """Public host names of the service. An Envoy with one service and no names takes requests for every host."""
    config_path: FolderPath = "/etc/envoy/abkit"
    """Folder that its files lie in where it runs, from the root on: they name each other. `abkit export` knows it."""
    listen: Port = 10_000
    """Port that it takes requests on."""
    address: Annotated[str, StringConstraints(strict=True, pattern=r"^[0-9A-Fa-f.:]{2,45}$")] = "127.0.0.1"
    """Address that it listens on."""
    admin: Port = 9_901
    """Port of its own statistics, on loopback."""
    upstreams: dict[LabelValue, Address] = Field(default_factory=dict)
    """Version → host:port of its pods; `service-version.namespace.svc.cluster.local` where left out."""
    native_hash: bool = True
    """Whether Envoy's own hash splits the users where it can; else the bucket header does. The answer is the same."""


class MeshSettings(Model):
    """What the meshes need to know."""

    edge: Edge = Edge.GATEWAY
    """Who computes the buckets."""
    istio: IstioSettings = IstioSettings()
    """Istio."""
    gateway_api: GatewayApiSettings = GatewayApiSettings()
    """Gateway API."""
    envoy: EnvoySettings = EnvoySettings()
    """Plain Envoy."""
