"""What a mesh does with a request, read from its manifests alone: one form for all meshes.

The interpreters know only the fields that abkit writes. Fields they don't know are an error, so that abkit can't write
what these tests don't understand.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

import pytest

from abkit.assignment import REPLICATE_HEADER, bucket, bucket_header, replicate
from abkit.routing import Request, assign, build_plan
from abkit.spec import Experiment


@dataclass(frozen=True)
class Routed:
    """What became of a request.

    Attributes:
        route: The name of the route that took it.
        chances: Version → share of 1: one version with 1 where it is decided; empty for a static answer.
        headers: The headers it arrived with; of the first version where there are several.
        answer: Status and body of a static answer.
        effects: What is done beside, in the mesh's own words.
    """

    route: str
    chances: Mapping[str, float]
    headers: Mapping[str, str] = field(default_factory=dict)
    answer: tuple[int, str] | None = None
    effects: Mapping[str, object] = field(default_factory=dict)

    @property
    def version(self) -> str:
        """The one version that it goes to."""
        [version] = self.chances
        return version


class Interpreter(Protocol):
    """A mesh with its manifests applied."""

    def send(self, request: Request) -> Routed:
        """Route one request as it leaves the edge."""
        ...


def sent_by_edge(spec: Experiment, unit: str, request: Request | None = None) -> Request:
    """The request of a unit as the edge sends it on: with its id, its buckets and its replicate."""
    asked = request or Request()
    plan = build_plan(spec)
    headers = dict(asked.headers)
    if unit:
        layer = plan.layers[0]
        if layer.header is not None:
            headers[layer.header] = unit
        headers |= {bucket_header(layer.name): str(bucket(layer.salt, unit)) for layer in plan.layers}
        headers[REPLICATE_HEADER] = str(replicate(unit, plan.replicates))
    return replace(asked, headers=headers)


def check_same(spec: Experiment, mesh: Interpreter, unit: str, request: Request | None = None) -> None:
    """A request of a unit goes where `assign` says, and is marked as it says."""
    asked = sent_by_edge(spec, unit, request)
    routed = mesh.send(asked)
    wanted = assign(spec, unit, request=asked)
    if routed.answer is not None:
        assert routed.answer in {(answer.status, answer.body) for answer in spec.policies.answers}
        return
    if wanted.version is None:
        shares: dict[str, float] = {}
        for name, weight in spec.split.items():
            version = spec.variants[name].version
            if weight:
                shares[version] = shares.get(version, 0) + weight / 10_000
        assert routed.chances == pytest.approx(shares)
        assert routed.headers[f"x-ab-assignment-{spec.layer}"] == "none"
        return
    assert routed.version == wanted.version
    assert routed.headers[f"x-ab-experiment-{spec.layer}"] == spec.name
    assert routed.headers[f"x-ab-variant-{spec.layer}"] == wanted.variant
    assert routed.headers[f"x-ab-assignment-{spec.layer}"] == wanted.assignment
