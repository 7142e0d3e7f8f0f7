"""Edge, mesh, service and `abkit assign` give one answer: the id at the browser decides everything after it."""

from __future__ import annotations

from wsgiref.util import setup_testing_defaults

from prometheus_client import CollectorRegistry

from abkit.instrument import Assigned, Edge, ExperimentMetrics, WSGIMiddleware, current
from abkit.routing import Request, assign, render
from abkit.spec import Experiment
from tests.routing.interpreters.istio import Istio
from tests.routing.specs import experiment, split

SPEC = experiment(
    variants=split(control=6_000, b=1_500, c=2_500),
    assignment={
        "salt": "agreement",
        "layer": "checkout",
        "replicates": 64,
        "rules": [{"when": {"header": {"x-user-type": {"exact": "vip"}}}, "to": "c"}],
    },
)


def _metrics(spec: Experiment, **options: object) -> ExperimentMetrics:
    versions = {name: variant.version for name, variant in spec.variants.items()}
    return ExperimentMetrics(
        spec.name,
        versions,
        "v1",
        layer=spec.layer,
        replicates=spec.assignment.replicates,
        registry=CollectorRegistry(),
        **options,  # type: ignore[arg-type]
    )


def test_from_browser_to_counter() -> None:
    edge = Edge({SPEC.layer: SPEC.salt}, replicates=SPEC.assignment.replicates)
    inner = Edge({}, behind_mesh=True, replicates=SPEC.assignment.replicates)
    mesh = Istio(render(SPEC))
    service = _metrics(SPEC)
    frontend = _metrics(SPEC, split=dict(SPEC.split))
    for number in range(1_000):
        unit = f"user-{number}"
        at_edge = edge.receive([("cookie", f"ab_uid={unit}"), ("x-ab-bucket-checkout", "0")])
        for headers in ({}, {"x-user-type": "vip"}):
            routed = mesh.send(Request({**at_edge.headers, **headers}))
            context = inner.receive(routed.headers.items())
            wanted = assign(SPEC, unit, headers)
            assert (context.unit, context.replicate) == (unit, wanted.replicate)
            assert context.buckets == {"checkout": wanted.bucket}
            assert wanted.variant is not None
            assert service.assigned(context) == Assigned(wanted.variant, wanted.assignment, wanted.replicate)
            assert routed.version == wanted.version
        # A frontend that the mesh does not route assigns by itself, to the same variant.
        by_hash = assign(SPEC, unit)
        assert by_hash.variant is not None
        assert frontend.assigned(at_edge) == Assigned(by_hash.variant, "hash", by_hash.replicate)


def test_a_request_that_came_past_the_edge_is_not_randomised() -> None:
    routed = Istio(render(SPEC)).send(Request({"x-user-id": "user-1"}))
    context = Edge({}, behind_mesh=True, replicates=64).receive(routed.headers.items())
    wanted = assign(SPEC, "")
    place = _metrics(SPEC).assigned(context)
    assert place is not None
    assert (place.variant, place.assignment) == (wanted.variant, wanted.assignment) == ("control", "none")


def test_through_the_middleware_too() -> None:
    seen: list[object] = []
    metrics = _metrics(SPEC, split=dict(SPEC.split))

    def app(environ, start_response):  # type: ignore[no-untyped-def]
        seen.append(metrics.assigned(current(environ)))
        start_response("200 OK", [])
        return [b""]

    wrapped = WSGIMiddleware(app, Edge({SPEC.layer: SPEC.salt}, replicates=64))
    for number in range(100):
        environ = {"HTTP_COOKIE": f"ab_uid=user-{number}", "HTTP_X_AB_BUCKET_CHECKOUT": "9999"}
        setup_testing_defaults(environ)
        wrapped(environ, lambda *_: lambda _: None)
        wanted = assign(SPEC, f"user-{number}")
        assert wanted.variant is not None
        assert seen[-1] == Assigned(wanted.variant, wanted.assignment, wanted.replicate)
