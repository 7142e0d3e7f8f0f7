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

__all__ = ["BUCKETS", "REPLICATE_SALT", "bucket", "replicate", "variant_of_bucket"]

BUCKETS = 10_000
"""Total weight: every split is in basis points of it, so that a ramp moves users one way only."""

REPLICATE_SALT = "abkit-replicate"
"""Salt of the replicates, one for the organisation: changing it starts every experiment's statistics anew."""


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
