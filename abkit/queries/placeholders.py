"""What a selector's placeholders stand for: values of the experiment file, and names made of service and version."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from abkit.errors import QueryError
from abkit.queries.naming import cluster_names, pod_pattern
from abkit.queries.rendering import alternatives, any_of, render
from abkit.queries.selectors import parse_selector
from abkit.spec import Experiment

__all__ = ["checked", "placeholders"]

_SAMPLE: Final = {
    "experiment": "x",
    "service": "x",
    "namespace": "x",
    "clusters": alternatives(["x"]),
    "pods": any_of(["x"]),
}


def placeholders(experiment: Experiment) -> Mapping[str, str]:
    r"""Placeholder → value.

    >>> spec = Experiment.model_validate({
    ...     "service": "shop", "variants": {"control": "v1", "treatment": "v2"}, "metrics": ["conversion"],
    ... })
    >>> print(placeholders(spec)["clusters"])
    shop\-v1|shop\-v1\~or\-else|shop_v1|shop_v1\~or\-else|shop\-v2|shop\-v2\~or\-else|shop_v2|shop_v2\~or\-else
    >>> print(placeholders(spec)["pods"])
    shop\-v1\-[a-z0-9-]+|shop\-v2\-[a-z0-9-]+
    """
    service = experiment.service.name
    versions = list(dict.fromkeys(variant.version for variant in experiment.variants.values()))
    return {
        "experiment": experiment.name,
        "service": service,
        "namespace": experiment.service.namespace,
        "clusters": alternatives([name for version in versions for name in cluster_names(service, version)]),
        "pods": any_of([pod_pattern(service, version) for version in versions]),
    }


def checked(template: str, place: str) -> str:
    """A selector whose placeholders are known, and which is PromQL once they are filled in.

    Args:
        template: The selector.
        place: What errors call it.

    Returns:
        The same.

    Raises:
        QueryError: A placeholder is unknown, or it is no vector selector.
    """
    filled = render(template, _SAMPLE, place)
    try:
        parse_selector(filled)
    except QueryError as error:
        msg = f"{place}: {error}"
        raise QueryError(msg) from None
    return template
