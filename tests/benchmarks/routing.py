"""How fast specs become manifests, and ids variants: `python -m tests.benchmarks.routing`. Prints, asserts nothing."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import yaml

from abkit.assignment import bucket, variant_of_bucket
from abkit.routing import assign, assign_many, join, render_many
from abkit.spec import Experiment, loads

SPECS = 1_000
IDS = 1_000_000


def text_of(number: int) -> str:
    """An experiment on half of a layer, so that two of them share a service and are merged."""
    first = 5_000 * (number % 2)
    document: dict[str, Any] = {
        "metadata": {"name": f"experiment-{number}"},
        "service": {"name": f"service-{number // 2}", "namespace": "shop", "port": 8080},
        "variants": {
            "control": {"version": "v1", "weight": 5_000},
            "treatment": {"version": f"v{2 + number % 2}", "weight": 5_000},
        },
        "assignment": {
            "layer": f"layer-{number // 2}",
            "salt": f"salt-{number // 2}",
            "buckets": {"from": first, "to": first + 4_999},
            "rules": [{"when": {"header": {f"x-rule-{number}": {"exact": "on"}}}, "to": "treatment"}],
        },
        "metrics": {"primary": ["conversion"], "guardrails": [{"metric": "error-rate", "margin": 0.1}]},
        "source": {"prometheus": "http://prometheus:9090"},
    }
    return yaml.safe_dump(document, sort_keys=False)


def timed(run: Callable[[], object], times: int = 3) -> float:
    """Median seconds of some runs."""
    seconds = []
    for _ in range(times):
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def main() -> None:
    """Print the table."""
    texts = [text_of(number) for number in range(SPECS)]
    specs: list[Experiment] = []

    def read() -> None:
        specs[:] = [loads(text) for text in texts]

    reading = timed(read)
    rendering = timed(lambda: join(render_many(specs)))
    parsing = timed(lambda: [yaml.safe_load(text) for text in texts])
    size = len(join(render_many(specs)))
    print(f"{SPECS:,} specs on {SPECS // 2} services, for Istio; medians of 3 runs\n")
    print("| step | seconds | beside PyYAML's safe_load of the same specs |")
    print("|---|---|---|")
    print(f"| read and validate | {reading:.2f} | {reading / parsing:.1f} × |")
    print(f"| plan, merge, render, write YAML ({size / 1e6:.1f} MB) | {rendering:.2f} | {rendering / parsing:.1f} × |")
    print(f"| together | {reading + rendering:.2f} | {(reading + rendering) / parsing:.1f} × |")

    ids = [f"user-{number}" for number in range(IDS)]
    spec, few = specs[0], ids[:2_000]
    weights = dict(spec.split)
    many = timed(lambda: assign_many(spec, ids)) / IDS
    one = timed(lambda: [assign(spec, unit) for unit in few]) / len(few)
    bare = timed(lambda: [variant_of_bucket(bucket(spec.salt, unit), weights) for unit in ids[:100_000]]) / 100_000
    print(f"\n{IDS:,} ids; medians of 3 runs\n")
    print("| way | ids a second | beside the hash in a loop |")
    print("|---|---|---|")
    for name, seconds in (("assign_many", many), ("assign, one by one", one), ("the hash alone, one by one", bare)):
        print(f"| {name} | {1 / seconds:,.0f} | {bare / seconds:.2f} × |")


if __name__ == "__main__":
    main()
