"""Salted hash → bucket → variant: what the mesh computes, to the bit.

The hash is the contract between mesh and code: Envoy's `weighted_clusters.use_hash_policy` over a header rewritten to
`SALT:VALUE` picks `xxh64(value, seed=0) % total_weight` and walks the clusters in order. So do these functions, so does
the Lua filter at a gateway.

A bucket belongs to a *layer*: experiments that share a layer share its salt and so its buckets. The *replicate* is
another hash of the same unit, with a salt that is fixed for the organisation, and outlives experiments.
"""

from __future__ import annotations

from collections.abc import Mapping

from xxhash import xxh64_intdigest

__all__ = [
    "BUCKETS",
    "REPLICATE_HEADER",
    "REPLICATE_SALT",
    "assignment_header",
    "bucket",
    "bucket_header",
    "experiment_header",
    "replicate",
    "variant_header",
    "variant_of_bucket",
]

BUCKETS = 10_000
"""Total weight: every split is in basis points of it, so that a ramp moves users one way only."""

REPLICATE_SALT = "abkit-replicate"
"""Salt of the replicates, one for the organisation: changing it starts every experiment's statistics anew."""

REPLICATE_HEADER = "x-ab-replicate"
"""The request header that carries the unit's replicate."""


def bucket_header(layer: str) -> str:
    """Request header that carries the unit's bucket in a layer: the edge sets it, the mesh routes on it.

    >>> bucket_header("checkout")
    'x-ab-bucket-checkout'
    """
    return f"x-ab-bucket-{layer}"


def variant_header(layer: str) -> str:
    """Request header that carries the variant a request was routed to: the mesh sets it, the service counts by it.

    >>> variant_header("checkout")
    'x-ab-variant-checkout'
    """
    return f"x-ab-variant-{layer}"


def assignment_header(layer: str) -> str:
    """Request header that says how a request came to its variant: `hash`, `rule`, `forced` or `none`.

    >>> assignment_header("checkout")
    'x-ab-assignment-checkout'
    """
    return f"x-ab-assignment-{layer}"


def experiment_header(layer: str) -> str:
    """Request header that names the experiment whose variant a request got: several may share a layer.

    >>> experiment_header("checkout")
    'x-ab-experiment-checkout'
    """
    return f"x-ab-experiment-{layer}"


def bucket(salt: str, unit: str, buckets: int = BUCKETS) -> int:
    """Bucket of a unit, 0 … `buckets` - 1.

    Args:
        salt: The layer's salt.
        unit: What is randomised, usually a user id; hashed as UTF-8.
        buckets: Number of buckets.

    >>> bucket("buy-now-button-1", "user-42")
    8640
    """
    return xxh64_intdigest(f"{salt}:{unit}".encode()) % buckets


def replicate(unit: str, replicates: int = 32, salt: str = REPLICATE_SALT) -> int:
    """Hash replicate of a unit, 0 … `replicates` - 1: the cluster that the statistics leave out one at a time.

    >>> 0 <= replicate("user-42") < 32
    True
    """
    return xxh64_intdigest(f"{salt}:{unit}".encode()) % replicates


def variant_of_bucket(index: int, weights: Mapping[str, int]) -> str:
    """Variant that owns a bucket: a walk over the weights, in their order.

    Args:
        index: The bucket, 0 … sum of the weights - 1.
        weights: Variant → weight in basis points, in the experiment file's order.

    Raises:
        ValueError: The bucket lies outside the weights.

    >>> variant_of_bucket(9_499, {"control": 9_500, "treatment": 500})
    'control'
    >>> variant_of_bucket(9_500, {"control": 9_500, "treatment": 500})
    'treatment'
    """
    end = 0
    for name, weight in weights.items():
        end += weight
        if 0 <= index < end:
            return name
    msg = f"bucket {index} is outside 0 … {end - 1}"
    raise ValueError(msg)
