"""How Envoy's clusters and Kubernetes' pods are called after a service and its version.

Neither a plain Envoy nor cAdvisor knows versions: what they count says a cluster's or a pod's name alone. One cluster
and one Deployment a version, named after service and version, is what abkit's manifests write, and what is read here:

- clusters `<service>-<version>` or `<service>_<version>`; a dot may be written `_` too, since it separates the parts of
  a statistic's name in Envoy (`alt_stat_name: shop-v1_2`). With `~or-else` at the end it is the cluster that requests
  for a version go to where another version takes over: codes and times are counted there, and there alone;
- pods `<service>-<version>-<hash>-<id>` of a Deployment, or `<service>-<version>-<number>` of a StatefulSet; dots and
  capitals of a version may be `-` and small there, as Kubernetes wants names.
"""

from __future__ import annotations

import re
from itertools import product

import re2

__all__ = ["cluster_names", "is_pod_of", "pod_pattern"]

# Kubernetes makes hashes and ids of letters that make no words, so that 'v1' is not taken for the version of
# shop-v1-hotfix-7d9c5b8f6d-x2x5v.
_SAFE = "[bcdfghjklmnpqrstvwxz2456789]"
_REST = re.compile(rf"{_SAFE}{{1,10}}-{_SAFE}{{5}}|[0-9]{{1,9}}")


def cluster_names(service: str, version: str) -> tuple[str, ...]:
    """Names that the cluster of a version may have.

    >>> cluster_names("shop", "v2")
    ('shop-v2', 'shop-v2~or-else', 'shop_v2', 'shop_v2~or-else')
    >>> cluster_names("shop", "v1.2")[2]
    'shop-v1_2'
    """
    versions = dict.fromkeys((version, version.replace(".", "_")))
    ends = ("", "~or-else")
    return tuple(f"{service}{between}{written}{end}" for between, written, end in product("-_", versions, ends))


def is_pod_of(service: str, version: str, pod: str) -> bool:
    """Whether a pod belongs to the Deployment or StatefulSet of a version.

    >>> is_pod_of("shop", "v1", "shop-v1-7d9c5b8f6d-x2x5v"), is_pod_of("shop", "v1", "shop-v1-0")
    (True, True)
    >>> is_pod_of("shop", "v1", "shop-v1-hotfix-7d9c5b8f6d-x2x5v")
    False
    """
    starts = [f"{service}-{written}-" for written in _written(version)]
    return any(pod.startswith(start) and _REST.fullmatch(pod, len(start)) is not None for start in starts)


def pod_pattern(service: str, version: str) -> str:
    r"""A regular expression (RE2) that matches all pods of a version, and perhaps more: `is_pod_of` tells.

    >>> print(pod_pattern("shop", "v1"))
    shop\-v1\-[a-z0-9-]+
    """
    found = [str(re2.escape(f"{service}-{written}-")) + "[a-z0-9-]+" for written in _written(version)]
    return "|".join(found)


def _written(version: str) -> tuple[str, ...]:
    """A version as it may stand in a pod's name: as it is, or as a DNS label, as abkit's Deployments have it."""
    label = "".join(letter if letter.isalnum() else "-" for letter in version.lower())
    return tuple(dict.fromkeys((version, label)))
