from __future__ import annotations

from pathlib import Path

import pytest

from abkit.errors import QueryError
from abkit.queries import catalogue, definition, entries, render
from abkit.queries.entries import Entry, parse
from abkit.queries.placeholders import placeholders
from abkit.queries.selectors import parse_selector
from abkit.spec import Direction, Experiment, Kind, Mesh, MetricRef, Role, Scope

GOOD = """\
# metric: checkout-rate
# meaning: Share of page views that reach the checkout.
# unit: checkouts per page view
# kind: proportion
# direction: increase
# scope: user
# labels: ab_experiment, ab_variant
# role: numerator
ab_checkouts_total{ab_experiment="$experiment"}
# role: denominator
ab_page_views_total{ab_experiment="$experiment"}
"""


P, R, M, Q = Kind.PROPORTION, Kind.RATIO, Kind.MEAN, Kind.QUANTILE
UP, DOWN, NONE = Direction.INCREASE, Direction.DECREASE, Direction.NONE
Facts = dict[str, tuple[Kind, Direction, Scope]]
REQUESTS: Facts = {
    "error-rate": (P, DOWN, Scope.TECHNICAL),
    "latency-mean": (M, DOWN, Scope.TECHNICAL),
    "latency-p50": (Q, DOWN, Scope.TECHNICAL),
    "latency-p95": (Q, DOWN, Scope.TECHNICAL),
    "latency-p99": (Q, DOWN, Scope.TECHNICAL),
    "success-rate": (P, UP, Scope.TECHNICAL),
    "traffic": (Kind.RATE, NONE, Scope.TECHNICAL),
}
CPU: Facts = {"cpu-per-request": (M, DOWN, Scope.TECHNICAL)}
TECHNICAL: Facts = {
    "cpu": (Kind.RATE, NONE, Scope.TECHNICAL),
    "memory": (Kind.GAUGE, DOWN, Scope.TECHNICAL),
    "process-cpu": (Kind.RATE, NONE, Scope.TECHNICAL),
    "process-memory": (Kind.GAUGE, DOWN, Scope.TECHNICAL),
}
USERS: Facts = {
    "active-days-per-user": (R, UP, Scope.USER),
    "active-users": (Kind.RATE, NONE, Scope.USER),
    "bounce-rate": (P, DOWN, Scope.USER),
    "click-rate": (P, UP, Scope.USER),
    "clicks-per-user": (R, UP, Scope.USER),
    "conversion": (P, UP, Scope.USER),
    "dwell-time": (M, UP, Scope.USER),
    "exposed-users": (Kind.RATE, NONE, Scope.USER),
    "orders-per-page-view": (R, UP, Scope.USER),
    "orders-per-user": (R, UP, Scope.USER),
    "page-load-p75": (Q, DOWN, Scope.USER),
    "page-load-time": (M, DOWN, Scope.USER),
    "page-views-per-user": (R, NONE, Scope.USER),
    "payment-success": (P, UP, Scope.USER),
    "purchases-per-user": (R, UP, Scope.USER),
    "revenue-per-page-view": (R, UP, Scope.USER),
    "revenue-per-user": (R, UP, Scope.USER),
    "visits-per-user": (R, NONE, Scope.USER),
}
SAMPLE = placeholders(
    Experiment.model_validate({"service": "shop", "variants": {"control": "v1", "treatment": "v2"}, "metrics": "c"})
)


class TestCatalogue:
    def test_has_what_a_shop_and_its_mesh_need(self) -> None:
        facts = {name: (found.kind, found.direction, found.scope) for name, found in catalogue().items()}
        assert facts == USERS | TECHNICAL | REQUESTS | CPU

    def test_each_mesh_has_the_same_names(self) -> None:
        facts = {
            name: (found.kind, found.direction, found.scope) for name, found in catalogue(mesh=Mesh.LINKERD).items()
        }
        assert facts == USERS | TECHNICAL | REQUESTS | CPU
        facts = {name: (found.kind, found.direction, found.scope) for name, found in catalogue(mesh=Mesh.ENVOY).items()}
        # Envoy before the service does not know its pods.
        assert facts == USERS | TECHNICAL | REQUESTS

    def test_every_metric_says_what_it_is(self) -> None:
        for entry in entries():
            found = entry.definition
            assert found.meaning.endswith(".")
            assert found.unit
            assert found.labels
            assert Path(entry.file).stem == found.name
            assert entry.group == (entry.mesh or entry.group)

    @pytest.mark.parametrize("entry", entries(), ids=lambda entry: entry.title)
    def test_every_selector_asks_for_labels_that_the_header_names(self, entry: Entry) -> None:
        for selector in entry.definition.roles.values():
            matchers = parse_selector(render(selector, SAMPLE, entry.title)).matchers
            assert {matcher.label for matcher in matchers} - {"__name__"} <= set(entry.definition.labels)
            # Both proxies of a request count it: one of them is enough.
            if "istio_" in selector:
                assert 'reporter="destination"' in selector
            if entry.mesh is Mesh.LINKERD and "container_" not in selector:
                assert 'direction="inbound"' in selector

    def test_milliseconds_of_the_meshes_become_seconds(self) -> None:
        for mesh in Mesh:
            scaled = {name for name, found in catalogue(mesh=mesh).items() if found.scale == 0.001}
            assert scaled == {"latency-mean", "latency-p50", "latency-p95", "latency-p99"}

    def test_a_folder_of_ones_own(self, tmp_path: Path) -> None:
        (tmp_path / "deep").mkdir()
        (tmp_path / "deep" / "mine.promql").write_text(GOOD)
        found = definition(MetricRef.model_validate("checkout-rate"), tmp_path)
        assert found.roles[Role.NUMERATOR] == 'ab_checkouts_total{ab_experiment="$experiment"}'
        assert "conversion" in catalogue(tmp_path)

    def test_a_name_is_taken_once(self, tmp_path: Path) -> None:
        (tmp_path / "mine.promql").write_text(GOOD.replace("checkout-rate", "conversion"))
        with pytest.raises(QueryError, match=r"mine.promql:1: metric 'conversion' is already defined .* replaces: yes"):
            catalogue(tmp_path)

    def test_a_name_is_replaced_where_the_file_says_so(self, tmp_path: Path) -> None:
        mine = "# replaces: yes\n" + GOOD.replace("checkout-rate", "error-rate")
        (tmp_path / "mine.promql").write_text(mine)
        for mesh in Mesh:
            assert "ab_checkouts_total" in catalogue(tmp_path, mesh=mesh)["error-rate"].roles[Role.NUMERATOR]
        (tmp_path / "mine.promql").write_text("# mesh: linkerd\n" + mine)
        assert "ab_checkouts" in catalogue(tmp_path, mesh=Mesh.LINKERD)["error-rate"].roles[Role.NUMERATOR]
        assert "istio_" in catalogue(tmp_path)["error-rate"].roles[Role.NUMERATOR]

    def test_a_metric_of_another_mesh(self) -> None:
        with pytest.raises(QueryError, match=r"is there for istio and linkerd, not for envoy: see metrics\.mesh"):
            definition(MetricRef.model_validate("cpu-per-request"), mesh=Mesh.ENVOY)

    def test_a_missing_folder(self, tmp_path: Path) -> None:
        with pytest.raises(QueryError, match="no such folder"):
            catalogue(tmp_path / "nobody")

    def test_unknown(self) -> None:
        with pytest.raises(QueryError, match="did you mean 'conversion'"):
            definition(MetricRef.model_validate("convertion"))

    @pytest.mark.parametrize(
        ("old", "new", "why"),
        [
            ("# kind: proportion\n", "", "kind"),
            ("# kind: proportion", "# kind: share", "kind"),
            ("# unit:", "# units:", "did you mean 'unit'"),
            ("# role: denominator", "# role: divisor", "no such role"),
            ("# role: denominator\n", "", "without a role"),
            ('ab_page_views_total{ab_experiment="$experiment"}\n', "", "no selector"),
            ("# role: denominator", "# role: numerator", "twice"),
            ("# unit: checkouts per page view", "unit without a hash", "without a role"),
            ("# scope: user", "# just words", "key: value"),
            ("# scope: user", "# quantile: 0.5", "quantile"),
            ("# scope: user", "# scale: much", "number"),
            ("checkout-rate", "Checkout Rate", r"mine.promql:1: metric: "),
            ("# kind: proportion", "# kind: share", r"mine.promql:4: kind: "),
            ("# meaning", "# mesh: consul\n# meaning", r"mine.promql:2: mesh: should be one of istio, linkerd, envoy"),
            ("# meaning", "# replaces: maybe\n# meaning", r"mine.promql:2: replaces: should be one of yes, no"),
            ('{ab_experiment="$experiment"}', "[5m]", r"mine.promql:9: not a PromQL vector selector: .*no functions"),
            ('="$experiment"}', '="$experiment" or up}', r"mine.promql:9: .*expected"),
            ('="$experiment"', '=~"($experiment"', r"mine.promql:9: .*RE2"),
            ('"$experiment"', '"$expriment"', r"mine.promql:9: unknown placeholder .*did you mean 'experiment'"),
            ('="$experiment"', '="$pods"', r"mine.promql:9: '\$pods' stands for several values: compare with =~"),
        ],
    )
    def test_malformed(self, old: str, new: str, why: str) -> None:
        with pytest.raises(QueryError, match=why) as raised:
            parse(GOOD.replace(old, new, 1), "mine.promql")
        assert "mine.promql" in str(raised.value)

    def test_binary(self, tmp_path: Path) -> None:
        (tmp_path / "x.promql").write_bytes(b"\xff\xfe")
        with pytest.raises(QueryError, match="UTF-8"):
            catalogue(tmp_path)
