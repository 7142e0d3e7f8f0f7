"""What a service imports: the unit's id and buckets for each request, and the counters of an experiment.

A service that browsers reach, here with Flask::

    from abkit.instrument import Edge, ExperimentMetrics, WSGIMiddleware, current, outgoing

    edge = Edge(layers={"checkout": "buy-now-button-1"})
    metrics = ExperimentMetrics(
        "buy-now-button", {"control": "v1", "treatment": "v2"}, version="v2", layer="checkout",
        split={"control": 5000, "treatment": 5000},
    )
    app.wsgi_app = WSGIMiddleware(app.wsgi_app, edge)

    @app.get("/")
    def page():
        context = current(request.environ)
        metrics.expose(context)
        metrics.page_view(context)
        stock = requests.get("http://stock/", headers=outgoing(context))
        ...

Behind the mesh, `Edge(layers={}, behind_mesh=True)` reads what edge and mesh wrote on the request, and `split` is left
out: the mesh's mark says the variant. Metrics are exposed by prometheus_client, as ever: `start_http_server`,
`make_wsgi_app` or `make_asgi_app`. Its multiprocess mode works; the page load time's families are gauges there.

Payments, visits, time on a page and returning users are counted where they are asked for, since each family multiplies
with variants, replicates and assignments: `more=["payments", "visits", "dwell", "activity"]`.

Before an experiment starts its assignment can be labelled already: `ExperimentMetrics(…, split=…, pre_period=True)` in
the version that serves everyone. With `analysis.pre-period` what users did then takes noise from what they do later
(CUPED), and shows in an A/A test whether the split is sound.

The unit's header is the edge's to write: an application that finds its signed-in user in `x-user-id` names another one,
or has a gateway that sets it and `trust_header=True`.

The marker of first exposures is a cookie: a client that keeps none is a new user with each request, and experiments
beyond what the cookie holds (1,500 bytes) are forgotten, the oldest first. A response that sets a cookie belongs to one
user: keep it out of shared caches.
"""

from __future__ import annotations

from abkit.instrument.asgi import ASGIMiddleware
from abkit.instrument.context import CONTEXT_KEY, Context, Mark, current, outgoing
from abkit.instrument.edge import Edge
from abkit.instrument.metrics import NO_REPLICATE, PAGE_LOAD_BUCKETS, Assigned, ExperimentMetrics
from abkit.instrument.wsgi import WSGIMiddleware

__all__ = [
    "CONTEXT_KEY",
    "NO_REPLICATE",
    "PAGE_LOAD_BUCKETS",
    "ASGIMiddleware",
    "Assigned",
    "Context",
    "Edge",
    "ExperimentMetrics",
    "Mark",
    "WSGIMiddleware",
    "current",
    "outgoing",
]
