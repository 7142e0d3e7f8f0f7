"""Experiments for the routing tests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from abkit.spec import Experiment


def experiment(**changes: Any) -> Experiment:
    """The design's example experiment, with top-level fields replaced."""
    document: dict[str, Any] = {
        "apiVersion": "abkit/v1",
        "kind": "Experiment",
        "metadata": {"name": "buy-now-button"},
        "service": {"name": "my-service", "namespace": "shop", "port": 8080},
        "variants": {"control": {"version": "v1", "weight": 5000}, "treatment": {"version": "v2", "weight": 5000}},
        "assignment": {
            "unit": {"header": "x-user-id"},
            "salt": "buy-now-button-1",
            "layer": "checkout",
            "rules": [{"when": {"header": {"x-user-type": {"exact": "vip"}}}, "to": "treatment"}],
        },
        "metrics": ["conversion"],
    }
    return Experiment.model_validate(document | changes)


def split(**weights: int) -> Mapping[str, Any]:
    """Variants with these weights; the version is the name."""
    return {name: {"version": name, "weight": weight} for name, weight in weights.items()}
