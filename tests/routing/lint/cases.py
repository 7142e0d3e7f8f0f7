"""Small manifests: of each check one that has the defect, and its nearest neighbour that has not."""

from __future__ import annotations

__all__ = ["CASES", "DEFAULT", "SUBSETS", "TO", "canary", "http_route", "match", "rule", "service", "split", "two"]


_FAILOVER = "{loadBalancer: {localityLbSetting: {failoverPriority: [version=v1]}}, outlierDetection: {interval: 5s}}"


def _object(api: str, kind: str, spec: str, name: str = "a", metadata: str = "") -> str:
    return f"apiVersion: {api}\nkind: {kind}\nmetadata: {{name: {name}, namespace: shop{metadata}}}\nspec: {spec}\n"


def service(http: str, name: str = "a", more: str = "") -> str:
    return _object("networking.istio.io/v1", "VirtualService", f"{{hosts: [{name}], http: [{http}]{more}}}", name)


def rule(spec: str, name: str = "a") -> str:
    return _object("networking.istio.io/v1", "DestinationRule", f"{{host: {name}, {spec}}}", name)


def http_route(rules: str, more: str = "parentRefs: [{name: gateway}]") -> str:
    return _object("gateway.networking.k8s.io/v1", "HTTPRoute", f"{{{more}, rules: [{rules}]}}")


def linkerd(rules: str) -> str:
    return _object("policy.linkerd.io/v1beta3", "HTTPRoute", f"{{parentRefs: [{{name: a}}], rules: [{rules}]}}")


def split(backends: str) -> str:
    return _object("split.smi-spec.io/v1alpha2", "TrafficSplit", f"{{service: a, backends: [{backends}]}}")


def canary(analysis: str, name: str = "a") -> str:
    target = f"targetRef: {{apiVersion: apps/v1, kind: Deployment, name: {name}}}, service: {{port: 80}}"
    return _object("flagger.app/v1beta1", "Canary", f"{{{target}, analysis: {{{analysis}}}}}", name)


def rollout(routing: str, steps: str) -> str:
    spec = f"{{strategy: {{canary: {{trafficRouting: {{{routing}}}, steps: [{steps}]}}}}}}"
    return _object("argoproj.io/v1alpha1", "Rollout", spec)


def telemetry(tags: str) -> str:
    overrides = f"[{{match: {{metric: REQUEST_COUNT}}, tagOverrides: {{{tags}}}}}]"
    return _object("telemetry.istio.io/v1", "Telemetry", f"{{metrics: [{{overrides: {overrides}}}]}}")


def envoy(routes: str) -> str:
    clusters = "[{name: v1, type: STATIC, connect_timeout: 1s}, {name: v2, type: STATIC, connect_timeout: 1s}]"
    listener = f"{{route_config: {{virtual_hosts: [{{name: a, domains: ['*'], routes: [{routes}]}}]}}}}"
    return f"static_resources: {{listeners: [{listener}], clusters: {clusters}}}\n"


def hashed(
    policy: str, match: str = "", flags: str = "use_hash_policy: true, ", weights: tuple[int, int] = (1, 9)
) -> str:
    clusters = f"[{{name: v1, weight: {weights[0]}}}, {{name: v2, weight: {weights[1]}}}]"
    action = f"{{hash_policy: [{policy}], weighted_clusters: {{{flags}clusters: {clusters}}}}}"
    return f"{{match: {{prefix: /{match}}}, route: {action}}}"


TO = "route: [{destination: {host: a}}]"
DEFAULT = f"{{{TO}}}"
SUBSETS = rule("subsets: [{name: v1, labels: {version: v1}}, {name: v2, labels: {version: v2}}]")
SALTED = "header_name: x-user-id, regex_rewrite: {pattern: {regex: '^(.*)$'}, substitution: 's:\\1'}"
PRESENT = ", headers: [{name: X-User-Id, present_match: true}]"


def match(header: str) -> str:
    return service(f"{{match: [{{headers: {{{header}}}}}], {TO}}}, {DEFAULT}")


def two(first: object, second: object, more: str = "") -> str:
    one, other = "{destination: {host: a, subset: v1}%s}", "{destination: {host: a, subset: v2}%s}"
    weights = [f", weight: {weight}" if weight is not None else "" for weight in (first, second)]
    return SUBSETS + "---\n" + service(f"{{{more}route: [{one % weights[0]}, {other % weights[1]}]}}")


CASES = [
    # Fields and versions
    ("old-api-version", rule("").replace("/v1", "/v1beta1"), SUBSETS),
    ("unknown-api-version", rule("").replace("/v1", "/v2"), rule("").replace("/v1", "/v1alpha3")),
    ("unknown-field", service(f"{{{TO}, timeuot: 1s}}"), service(f"{{{TO}, timeout: 1s}}")),
    ("missing-field", service("{route: [{destination: {subset: v1}}]}"), service(DEFAULT)),
    ("missing-field", "apiVersion: v1\nkind: Service\nspec: {}\n", _object("v1", "Service", "{}")),
    ("one-of", match("x-a: {exact: b, regex: b.*}"), match("x-a: {regex: b.*}")),
    ("wrong-sort", service("{route: {destination: {host: a}}}"), service(DEFAULT)),
    ("wrong-value", rule("trafficPolicy: {loadBalancer: {simple: ROUND_ROBBIN}}"), SUBSETS),
    ("unquoted", match("x-a: {exact: on}"), match("x-a: {exact: 'on'}")),
    ("unquoted", match("x-a: {exact: 1.10}"), match("x-a: {exact: v1.10}")),
    ("unquoted", match("x-a: {exact: 0o7}"), match("x-a: {exact: '0o7'}")),
    ("unquoted", match("yes: {exact: a}"), match("'yes': {exact: a}")),
    # Durations, per field
    ("duration", service(f"{{{TO}, timeout: 5}}"), service(f"{{{TO}, timeout: 1m30s}}")),
    ("duration", service(f"{{{TO}, timeout: 1d}}"), service(f"{{{TO}, timeout: 1.5s}}")),
    ("duration", service(f"{{{TO}, timeout: 0s}}"), service(f"{{{TO}, timeout: 1ms}}")),
    ("duration", http_route("{timeouts: {request: 1.5s}}"), http_route("{timeouts: {request: 1s500ms}}")),
    ("duration", canary("interval: 1h, iterations: 2"), canary("interval: 1m, iterations: 2")),
    ("duration", rollout("", "{pause: {duration: 1 h}}"), rollout("", "{pause: {duration: 90}}")),
    ("duration", rollout("", "{pause: {duration: 1 h}}"), rollout("", "{pause: {duration: 1h}}")),
    ("duration", envoy("{route: {cluster: v1, timeout: 500ms}}"), envoy("{route: {cluster: v1, timeout: 0.5s}}")),
    ("duration", envoy("{route: {cluster: v1, idleTimeout: 5}}"), envoy("{route: {cluster: v1, idleTimeout: 5s}}")),
    # YAML
    ("key-twice", f"{service(DEFAULT)}kind: VirtualService\n", service(DEFAULT)),
    ("key-not-text", service(DEFAULT) + "? [a]\n: b\n", service(DEFAULT) + "? a\n: b\n"),
    ("not-yaml", "a: [\n", "a: []\n"),
    ("not-yaml", "a:\n\t- b\n", "a:\n  - b\n"),
    ("template", service(f"{{{TO}, timeout: {{{{ .Values.a }}}}}}"), service(f"{{{TO}, name: '{{{{ a }}}}'}}")),
    ("template", "metadata:\n  {{- include \"labels\" . }}\n  a: {{ .Values.a }}\n", "a: '{{ .Values.a }}'\n"),
    # Hosts
    (
        "host-conflict",
        service(DEFAULT) + "---\n" + service(DEFAULT, "b").replace("[b]", "[b, a.shop.svc.cluster.local]"),
        service(DEFAULT) + "---\n" + service(DEFAULT, "b").replace("[b]", "[b, a.other.svc.cluster.local]"),
    ),
    (
        "host-conflict",
        service(DEFAULT) + "---\n" + service(DEFAULT).replace("name: a, namespace: shop", "name: c, namespace: shop"),
        service(DEFAULT) + "---\n" + service(DEFAULT).replace("namespace: shop", "namespace: other"),
    ),
    (
        "host-conflict",
        "---\n".join(service(DEFAULT, more=", gateways: [g]").replace("{name: a,", f"{{name: {n},") for n in "bc"),
        "---\n".join(service(DEFAULT, more=f", gateways: [{n}]").replace("{name: a,", f"{{name: {n},") for n in "bc"),
    ),
    ("destination-rule-conflict", SUBSETS + "---\n" + SUBSETS.replace("name: a,", "name: b,"), SUBSETS),
    ("object-twice", SUBSETS + "---\n" + SUBSETS, SUBSETS),
    ("host-half-named", service(DEFAULT, "a.shop"), service(DEFAULT, "example.com")),
    # Subsets
    ("subset-undefined", two(1, 1).replace("subset: v2", "subset: v3"), two(1, 1)),
    ("subset-undefined", service("{route: [{destination: {host: a, subset: v1}}]}"), two(1, 1)),
    (
        "subset-undefined",
        rule("subsets: [{name: v1, labels: {v: a}}]") + "---\n" + service(f"{{{TO}, mirror: {{host: a, subset: v2}}}}"),
        rule("subsets: [{name: v2, labels: {v: a}}]", "'*.shop.svc.cluster.local'")
        + "---\n"
        + service(f"{{{TO}, mirrors: [{{destination: {{host: a, subset: v2}}}}]}}"),
    ),
    ("subset-order", "---\n".join(two(1, 1).split("---\n")[::-1]), two(1, 1)),
    ("subset-without-version", rule("subsets: [{name: v1, labels: {app: a-v1}}]"), SUBSETS),
    ("subset-without-labels", rule("subsets: [{name: v1}]"), SUBSETS),
    (
        "subset-without-labels",
        rule("subsets: [{name: v1, trafficPolicy: {loadBalancer: {simple: RANDOM}}}]"),
        rule(f"subsets: [{{name: v1, trafficPolicy: {_FAILOVER}}}, {{name: v2, labels: {{version: v2}}}}]"),
    ),
    ("subset-twice", rule("subsets: [{name: v1, labels: {v: a}},\n {name: v1, labels: {v: b}}]"), SUBSETS),
    ("empty-destination-rule", rule(""), rule("trafficPolicy: {loadBalancer: {simple: RANDOM}}")),
    # Weights
    ("weight", two(110, -10), two(90, 10)),
    ("weight", two(0, 0), two(0, 100)),
    ("weight", service("{route: [{destination: {host: a}, weight: -1}]}"), service(DEFAULT)),
    ("weight", split("{service: b, weight: 0}, {service: c, weight: 0}"), split("{service: b, weight: 500m}")),
    ("weight", http_route("{backendRefs: [{name: b, weight: 0}]}"), http_route("{backendRefs: [{name: b}]}")),
    ("weight-missing", two(90, None), two(None, None)),
    ("weight-total", two(50, 60), two(5000, 5000)),
    ("random-split", two(90, 10), two(100, 0)),
    ("random-split", two(90, 10), two(90, 10, "headers: {request: {set: {x-ab-assignment-a: none}}}, ")),
    (
        "random-split",
        http_route("{backendRefs: [{name: b, weight: 1}, {name: c}]}"),
        http_route("{backendRefs: [{name: b, weight: 1}, {name: c, weight: 0}]}"),
    ),
    (
        "hash-not-sticky",
        two(9, 1).replace("subsets:", "trafficPolicy: {loadBalancer: {consistentHash: {useSourceIp: true}}}, subsets:"),
        two(9, 0).replace("subsets:", "trafficPolicy: {loadBalancer: {consistentHash: {useSourceIp: true}}}, subsets:"),
    ),
    # Routes
    (
        "no-default-route",
        service(f"{{match: [{{headers: {{x-a: {{exact: b}}}}}}], {TO}}}"),
        service(f"{{match: [{{uri: {{prefix: /}}}}], {TO}}}"),
    ),
    (
        "no-default-route",
        service(f"{{match: [{{uri: {{prefix: /a}}}}], {TO}}}"),
        service(f"{{match: [{{uri: {{prefix: /a}}}}], {TO}}}", more=", gateways: [public]"),
    ),
    (
        "no-default-route",
        http_route("{matches: [{headers: [{name: a, value: b}]}]}"),
        http_route("{matches: [{headers: [{name: a, value: b}]}]}, {backendRefs: []}"),
    ),
    (
        "no-default-route",
        service(f"{{match: [{{sourceLabels: {{a: b}}}}], {TO}}}"),
        service(f"{{match: [{{port: 80}}], {TO}}}"),
    ),
    ("unreachable-route", service(f"{DEFAULT}, {DEFAULT}"), match("x-a: {exact: b}")),
    (
        "unreachable-route",
        service(f"{{match: [{{port: 80}}], {TO}}}, {{match: [{{port: 80, method: {{exact: GET}}}}], {TO}}}, {DEFAULT}"),
        service(f"{{match: [{{port: 80, method: {{exact: GET}}}}], {TO}}}, {{match: [{{port: 80}}], {TO}}}, {DEFAULT}"),
    ),
    (
        "unreachable-route",
        service(f"{{match: [{{uri: {{prefix: /a}}}}], {TO}}}, {{match: [{{uri: {{prefix: /a}}, port: 80}}], {TO}}}"),
        service(
            f"{{match: [{{uri: {{prefix: /a}}}}], {TO}}}, "
            f"{{match: [{{uri: {{prefix: /a}}, ignoreUriCase: true}}], {TO}}}"
        ),
    ),
    (
        "route-name-twice",
        service(f"{{name: n, match: [{{port: 80}}], {TO}}},\n {{name: n, {TO}}}"),
        service(f"{{name: n, match: [{{port: 80}}], {TO}}},\n {{name: m, {TO}}}"),
    ),
    ("header-case", match("X-A: {exact: b}"), match("x-a: {exact: B}")),
    ("ignored-header", match("method: {exact: GET}"), match("x-method: {exact: GET}")),
    ("empty-pattern", match("x-a: {prefix: ''}"), match("x-a: {exact: ''}")),
    ("deprecated-field", service(f"{{{TO}, mirrorPercent: 5}}"), service(f"{{{TO}, mirrorPercentage: {{value: 5}}}}")),
    # Faults, retries, timeouts
    ("never-read", rule("trafficPolicy: {outlierDetection: {consecutiveErrors: 5}}"), SUBSETS),
    (
        "fault-with-retries",
        service(f"{{{TO}, fault: {{abort: {{httpStatus: 500}}}}, timeout: 1s}}"),
        service(f"{{{TO}, fault: {{abort: {{httpStatus: 500}}}}, retries: {{attempts: 0}}}}"),
    ),
    (
        "abort-as-fallback",
        service(f"{{{TO}, fault: {{abort: {{httpStatus: 503, percentage: {{value: 100}}}}}}}}"),
        match("x-drill: {exact: 'yes'}").replace(
            f"], {TO}", f"], {TO}, fault: {{abort: {{httpStatus: 503, percentage: {{value: 100}}}}}}"
        ),
    ),
    (
        "retry-not-idempotent",
        service(f"{{{TO}, retries: {{attempts: 2, retryOn: 'reset,5xx'}}}}"),
        service(f"{{{TO}, retries: {{attempts: 2, retryOn: 'connect-failure,refused-stream'}}}}"),
    ),
    (
        "retry-not-idempotent",
        service(f"{{match: [{{method: {{regex: '.*T'}}}}], {TO}, retries: {{attempts: 2, retryOn: 5xx}}}}"),
        service(f"{{match: [{{method: {{regex: 'GET|PUT'}}}}], {TO}, retries: {{attempts: 2, retryOn: 5xx}}}}"),
    ),
    (
        "retry-budget",
        service(f"{{{TO}, timeout: 5s, retries: {{attempts: 3, perTryTimeout: 2s}}}}"),
        service(f"{{{TO}, timeout: 8s, retries: {{attempts: 3, perTryTimeout: 2s}}}}"),
    ),
    (
        "retry-budget",
        http_route("{timeouts: {request: 1s, backendRequest: 2s}}"),
        http_route("{timeouts: {request: 2s, backendRequest: 1s}}"),
    ),
    # Expressions
    ("regex", match("x-a: {regex: '(?!b).*'}"), match("x-a: {regex: '[^b].*'}")),
    ("regex", http_route("{matches: [{path: {type: RegularExpression, value: '/('}}]}"), http_route("{}")),
    ("regex", rollout("", "{setHeaderRoute: {match: [{headerName: a, headerValue: {regex: '('}}]}}"), rollout("", "")),
    ("regex-part", match("user-agent: {regex: iPhone}"), match("user-agent: {regex: '.*iPhone.*'}")),
    ("regex-part", match("x-a: {regex: beta}"), match("x-a: {regex: 'beta-.'}")),
    (
        "regex-part",
        service(f"{{match: [{{uri: {{regex: 'api/.*'}}}}], {TO}}}, {DEFAULT}"),
        service(f"{{match: [{{uri: {{regex: '(/api|/old)/.*'}}}}], {TO}}}, {DEFAULT}"),
    ),
    (
        "regex-not-portable",
        http_route("{matches: [{headers: [{name: a, type: RegularExpression, value: b.*}]}]}"),
        linkerd("{matches: [{headers: [{name: a, type: RegularExpression, value: b.*}]}]}"),
    ),
    ("decimal-regex", match("x-user-id: {regex: '.*[02468]$'}"), match("x-user-id: {regex: '.*[0-9a-f]'}")),
    ("decimal-regex", match("x-user-id: {regex: '[0-9]*[02468]'}"), match("x-ab-bucket-user: {regex: '[0-4]?[0-9]'}")),
    (
        "decimal-regex",
        match("cookie: {regex: '.*uid=[^;]*[0-4](;.*)?'}"),
        match("cookie: {regex: '.*uid=[^;]*[02468ace](;.*)?'}"),
    ),
    ("decimal-regex", match("cookie: {regex: '.*uid=0.*'}"), match("cookie: {regex: '.*beta=0.*'}")),
    ("decimal-regex", match("x-user-id: {regex: '[0-4].*'}"), match("x-user-id: {regex: '(vip|staff)-.*'}")),
    # Gateway API, Linkerd, SMI
    ("linkerd-filter", linkerd("{filters: [{type: RequestMirror}]}"), http_route("{filters: [{type: RequestMirror}]}")),
    ("smi", split("{service: b, weight: 1}"), linkerd("{}")),
    ("backend-twice", split("{service: b, weight: 1},\n {service: b, weight: 1}"), split("{service: b, weight: 1}")),
    # Flagger, Argo Rollouts
    ("no-steps", canary("threshold: 1"), canary("threshold: 1, stepWeights: [5, 10]")),
    ("threshold", canary("threshold: 11, iterations: 10"), canary("threshold: 5, iterations: 10")),
    ("threshold", canary("threshold: 6, stepWeight: 10, maxWeight: 50"), canary("threshold: 2, stepWeights: [1, 2]")),
    ("threshold", canary("threshold: 0, iterations: 1"), canary("threshold: 1, iterations: 1")),
    ("weight", canary("stepWeight: 101, maxWeight: 200"), canary("stepWeight: 5, maxWeight: 50")),
    ("flagger-ab-percent", canary("match: [], stepWeight: 5, maxWeight: 50"), canary("match: [], iterations: 5")),
    ("flagger-affinity", canary("sessionAffinity: {cookieName: c}, stepWeight: 5"), canary("stepWeight: 5")),
    (
        "two-owners",
        canary("iterations: 1") + "---\n" + service(DEFAULT),
        canary("iterations: 1") + "---\n" + service(DEFAULT, "b"),
    ),
    (
        "two-owners",
        rollout("istio: {virtualService: {name: a}}", "") + "---\n" + two(80, 20),
        rollout("istio: {virtualService: {name: a}}", "") + "---\n" + two(100, 0),
    ),
    (
        "route-undefined",
        rollout("istio: {virtualService: {name: a, routes: [p]}}", "") + "---\n" + service(DEFAULT),
        rollout("istio: {virtualService: {name: a, routes: [p]}}", "") + "---\n" + service(f"{{name: p, {TO}}}"),
    ),
    (
        "argo-header-route",
        rollout("nginx: {}, managedRoutes: [{name: r}]", "{setHeaderRoute: {name: r}}"),
        rollout("istio: {}, managedRoutes: [{name: r}]", "{setHeaderRoute: {name: r}}"),
    ),
    (
        "argo-managed-route",
        rollout("istio: {}", "{setMirrorRoute: {name: r}}"),
        rollout("istio: {}, managedRoutes: [{name: r}]", "{setMirrorRoute: {name: r}}"),
    ),
    # Telemetry
    ("tag-cardinality", telemetry("a: {value: \"request.headers['x-user-id']\"}"), telemetry("a: {value: \"'x'\"}")),
    ("tag-name", telemetry("a-b: {value: \"'x'\"}"), telemetry("a_b: {value: \"'x'\"}")),
    ("tag-value", telemetry("a: {value: v1}"), telemetry("a: {value: \"has(request.headers) ? 'v1' : 'v2'\"}")),
    ("tag-value", telemetry("a: {operation: REMOVE, value: \"'x'\"}"), telemetry("a: {operation: REMOVE}")),
    # Envoy
    ("cluster-unknown", envoy("{route: {cluster: v3}}"), envoy("{route: {cluster: v2}}")),
    ("weight", envoy(hashed("", weights=(0, 0))), envoy(hashed("", weights=(0, 1)))),
    ("random-split", envoy(hashed("", flags="")), envoy(hashed(f"{{header: {{{SALTED}}}}}", PRESENT))),
    (
        "empty-pattern",
        envoy("{match: {prefix: '', headers: [{name: a, string_match: {prefix: ''}}]}, route: {cluster: v1}}"),
        envoy("{match: {prefix: '', headers: [{name: a, string_match: {exact: ''}}]}, route: {cluster: v1}}"),
    ),
    ("weight-total", envoy(hashed("", flags="total_weight: 7, ")), envoy(hashed("", flags="total_weight: 10, "))),
    ("hash-not-used", envoy(hashed(f"{{header: {{{SALTED}}}}}", flags="")), envoy(hashed(f"{{header: {{{SALTED}}}}}"))),
    ("hash-missing", envoy(hashed("")), envoy(hashed(f"{{header: {{{SALTED}}}}}"))),
    (
        "hash-header-missing",
        envoy(hashed(f"{{header: {{{SALTED}}}}}")),
        envoy(hashed(f"{{header: {{{SALTED}}}}}", PRESENT)),
    ),
    ("hash-without-salt", envoy(hashed("{header: {header_name: a}}")), envoy(hashed(f"{{header: {{{SALTED}}}}}"))),
    ("hash-cookie", envoy(hashed("{cookie: {name: a, ttl: 60s}}")), envoy(hashed("{cookie: {name: a}}"))),
    (
        "weight-total",
        envoy(hashed(f"{{header: {{{SALTED}}}}}") + ", " + hashed(f"{{header: {{{SALTED}}}}}", weights=(50, 50))),
        envoy(hashed(f"{{header: {{{SALTED}}}}}") + ", " + hashed(f"{{header: {{{SALTED}}}}}", weights=(5, 5))),
    ),
]  # fmt: skip
