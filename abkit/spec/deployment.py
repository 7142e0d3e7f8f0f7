"""What runs: the versions as Deployments, and drills that disturb them."""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from typing import Annotated

from pydantic import Field, StringConstraints

from abkit.spec.base import DnsLabel, Duration, LabelValue, Model
from abkit.spec.matching import LabelName

__all__ = ["Chaos", "Deployment", "Drill", "EnvironmentName", "Image", "Quantity"]

Image = Annotated[str, StringConstraints(strict=True, pattern=r"^[A-Za-z0-9]([A-Za-z0-9._/:@-]{0,253}[A-Za-z0-9])?$")]
Quantity = Annotated[str, StringConstraints(strict=True, pattern=r"^[0-9]+(\.[0-9]+)?(m|k|M|G|T|Ki|Mi|Gi|Ti)?$")]
EnvironmentName = Annotated[str, StringConstraints(strict=True, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]


class Deployment(Model):
    """How the versions run; each variant that names an image gets a Deployment and a Service."""

    container_port: Annotated[int, Field(strict=True, ge=1, le=65_535)] | None = None
    """Port that the container listens on; the service's where left out."""
    metrics_port: Annotated[int, Field(strict=True, ge=1, le=65_535)] | None = None
    """Port that Prometheus scrapes; the container's where left out."""
    metrics_path: Annotated[str, StringConstraints(strict=True, pattern=r"^/[A-Za-z0-9._~/-]*$")] = "/metrics"
    """Path that it scrapes."""
    env: dict[EnvironmentName, str] = Field(default_factory=dict)
    """Environment of every version. No secrets: the file is kept in git."""
    cpu: Quantity | None = None
    """Processor share that a pod asks for, such as 250m."""
    memory: Quantity | None = None
    """Memory that a pod asks for and is limited to, such as 256Mi."""
    labels: dict[LabelName, LabelValue] = Field(default_factory=dict)
    """Further labels of the pods."""
    baseline: bool = False
    """Canaries: also a fresh Deployment of the control, of the canary's size: the two compared are of an age then."""


class Drill(StrEnum):
    """What a drill does to pods."""

    POD_DELETE = "pod-delete"
    """Deletes them."""
    NETWORK_LATENCY = "pod-network-latency"
    """Slows their network."""
    CPU_HOG = "pod-cpu-hog"
    """Takes their processor."""


class Chaos(Model):
    """A drill: a Litmus ChaosEngine, stopped until somebody starts it."""

    drill: Drill
    """What is done."""
    to: DnsLabel
    """The variant whose pods are disturbed."""
    duration: Duration = timedelta(seconds=60)
    """How long."""
    share: Annotated[int, Field(strict=True, ge=1, le=100)] = 50
    """Percent of the pods."""
    latency: Duration = timedelta(seconds=2)
    """For pod-network-latency: how much is added."""
    cores: Annotated[int, Field(strict=True, ge=1, le=64)] = 1
    """For pod-cpu-hog: how many cores are taken in each pod."""
    service_account: DnsLabel = "litmus-admin"
    """The Kubernetes service account that the drill runs as."""
