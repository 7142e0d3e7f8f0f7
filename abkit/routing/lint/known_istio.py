"""The fields of Istio's objects, from https://istio.io/latest/docs/reference/config/networking/."""

from __future__ import annotations

from typing import Final

from abkit.routing.lint.shape import Items, Length, Named, Scalar, choice, fields

__all__ = ["DESTINATION_RULE", "ENVOY_FILTER", "TELEMETRY", "TRAFFIC_POLICY", "VIRTUAL_SERVICE"]

_GO: Final = Length("go")
_PORT: Final = fields(integer="number")
_TEXTS: Final = Named(Scalar.TEXT)
_MATCH: Final = fields(text="exact prefix regex", one_of="exact prefix regex")
_CHANGES: Final = fields(texts="remove", add=_TEXTS, set=_TEXTS)
_HEADERS: Final = fields(request=_CHANGES, response=_CHANGES)
_PERCENT: Final = fields(number="value")
_DESTINATION: Final = fields(text="host subset", port=_PORT, required="host")
_TARGETS: Final = Items(fields(text="group kind name namespace", required="kind name"))

_REQUEST: Final = fields(
    text="name sourceNamespace statPrefix",
    integer="port",
    boolean="ignoreUriCase",
    texts="gateways",
    authority=_MATCH,
    method=_MATCH,
    scheme=_MATCH,
    uri=_MATCH,
    headers=Named(_MATCH),
    queryParams=Named(_MATCH),
    withoutHeaders=Named(_MATCH),
    sourceLabels=_TEXTS,
)
_FAULT: Final = fields(
    abort=fields(
        text="grpcStatus http2Error",
        integer="httpStatus percent",
        percentage=_PERCENT,
        one_of="grpcStatus http2Error httpStatus",
    ),
    delay=fields(
        integer="percent",
        fixedDelay=_GO,
        exponentialDelay=_GO,
        percentage=_PERCENT,
        one_of="fixedDelay exponentialDelay",
    ),
)
_HTTP: Final = fields(
    text="name",
    integer="mirrorPercent mirror_percent",
    match=Items(_REQUEST),
    route=Items(fields(integer="weight", destination=_DESTINATION, headers=_HEADERS, required="destination")),
    fault=_FAULT,
    headers=_HEADERS,
    timeout=_GO,
    retries=fields(
        text="retryOn",
        integer="attempts",
        boolean="retryIgnorePreviousHosts retryRemoteLocalities",
        perTryTimeout=_GO,
        backoff=_GO,
    ),
    mirror=_DESTINATION,
    mirrorPercentage=_PERCENT,
    mirrors=Items(fields(destination=_DESTINATION, percentage=_PERCENT, required="destination")),
    rewrite=fields(text="authority uri", uriRegexRewrite=fields(text="match rewrite")),
    redirect=fields(text="authority derivePort prefixRewrite scheme uri", integer="port redirectCode"),
    directResponse=fields(integer="status", body=fields(text="bytes string", one_of="bytes string"), required="status"),
    delegate=fields(text="name namespace"),
    corsPolicy=fields(
        text="unmatchedPreflights",
        boolean="allowCredentials",
        texts="allowHeaders allowMethods allowOrigin exposeHeaders",
        allowOrigins=Items(_MATCH),
        maxAge=_GO,
    ),
)
_WEIGHTED: Final = Items(fields(integer="weight", destination=_DESTINATION, required="destination"))
_STREAM: Final = fields(
    text="sourceNamespace", integer="port", texts="destinationSubnets gateways", sourceLabels=_TEXTS
)

VIRTUAL_SERVICE: Final = fields(
    texts="exportTo gateways hosts",
    http=Items(_HTTP),
    tcp=Items(fields(match=Items(fields(_STREAM, text="sourceSubnet", texts="sourceSubnets")), route=_WEIGHTED)),
    tls=Items(
        fields(match=Items(fields(_STREAM, texts="sniHosts", required="sniHosts")), route=_WEIGHTED, required="match")
    ),
)

_OUTLIER: Final = fields(
    integer="consecutive5xxErrors consecutiveErrors consecutiveGatewayErrors consecutiveLocalOriginFailures "
    "maxEjectionPercent minHealthPercent",
    boolean="splitExternalLocalOriginErrors",
    baseEjectionTime=_GO,
    interval=_GO,
    outlierDetectionHttpErrorCodes=Items(Scalar.INTEGER),
)
_POOL: Final = fields(
    http=fields(
        integer="http1MaxPendingRequests http2MaxRequests maxConcurrentStreams maxRequestsPerConnection maxRetries",
        boolean="useClientProtocol",
        idleTimeout=_GO,
        h2UpgradePolicy=choice("DEFAULT DO_NOT_UPGRADE UPGRADE"),
        http2KeepAlive=fields(interval=_GO, timeout=_GO),
    ),
    tcp=fields(
        integer="maxConnections",
        connectTimeout=_GO,
        idleTimeout=Length("go-any"),
        maxConnectionDuration=_GO,
        tcpKeepalive=fields(integer="probes", interval=_GO, time=_GO),
    ),
)
_BALANCER: Final = fields(
    whatever="localityLbSetting zoneAwareLbSetting",
    simple=choice("UNSPECIFIED LEAST_CONN RANDOM PASSTHROUGH ROUND_ROBIN LEAST_REQUEST"),
    consistentHash=fields(
        text="httpHeaderName httpQueryParameterName",
        integer="minimumRingSize",
        boolean="useSourceIp",
        httpCookie=fields(text="name path", whatever="attributes", ttl=Length("go-any"), required="name"),
        maglev=fields(integer="tableSize"),
        ringHash=fields(integer="minimumRingSize"),
    ),
    warmup=fields(number="aggression minimumPercent", duration=_GO, required="duration"),
    warmupDurationSecs=_GO,
    one_of="simple consistentHash",
)
_PORT_POLICY: Final = fields(
    whatever="tls", connectionPool=_POOL, loadBalancer=_BALANCER, outlierDetection=_OUTLIER, port=_PORT
)

TRAFFIC_POLICY: Final = fields(
    whatever="proxyProtocol tls tunnel",
    connectionPool=_POOL,
    loadBalancer=_BALANCER,
    outlierDetection=_OUTLIER,
    retryBudget=fields(integer="minRetryConcurrency", number="percent", budgetInterval=Length("go-any")),
    portLevelSettings=Items(_PORT_POLICY),
)

DESTINATION_RULE: Final = fields(
    text="host",
    texts="exportTo",
    subsets=Items(fields(text="name", labels=_TEXTS, trafficPolicy=TRAFFIC_POLICY, required="name")),
    trafficPolicy=TRAFFIC_POLICY,
    workloadSelector=fields(matchLabels=_TEXTS),
    required="host",
)

ENVOY_FILTER: Final = fields(
    integer="priority",
    targetRefs=_TARGETS,
    workloadSelector=fields(labels=_TEXTS),
    configPatches=Items(
        fields(
            whatever="match",
            applyTo=choice(
                "LISTENER FILTER_CHAIN NETWORK_FILTER HTTP_FILTER ROUTE_CONFIGURATION VIRTUAL_HOST HTTP_ROUTE CLUSTER "
                "EXTENSION_CONFIG BOOTSTRAP LISTENER_FILTER"
            ),
            patch=fields(
                whatever="value",
                filterClass=choice("UNSPECIFIED AUTHN AUTHZ STATS"),
                operation=choice(
                    "MERGE ADD REMOVE INSERT_BEFORE INSERT_AFTER INSERT_FIRST REPLACE MERGE_AND_REPLACE_LIST"
                ),
            ),
        )
    ),
)

_MODE: Final = choice("CLIENT_AND_SERVER CLIENT SERVER")
_PROVIDERS: Final = Items(fields(text="name", required="name"))
TELEMETRY: Final = fields(
    whatever="tracing",
    selector=fields(matchLabels=_TEXTS),
    targetRef=_TARGETS.of,
    targetRefs=_TARGETS,
    accessLogging=Items(
        fields(boolean="disabled", filter=fields(text="expression"), match=fields(mode=_MODE), providers=_PROVIDERS)
    ),
    metrics=Items(
        fields(
            reportingInterval=_GO,
            providers=_PROVIDERS,
            overrides=Items(
                fields(
                    boolean="disabled",
                    match=fields(
                        text="customMetric",
                        mode=_MODE,
                        metric=choice(
                            "ALL_METRICS REQUEST_COUNT REQUEST_DURATION REQUEST_SIZE RESPONSE_SIZE "
                            "TCP_OPENED_CONNECTIONS TCP_CLOSED_CONNECTIONS TCP_SENT_BYTES TCP_RECEIVED_BYTES "
                            "GRPC_REQUEST_MESSAGES GRPC_RESPONSE_MESSAGES"
                        ),
                        one_of="metric customMetric",
                    ),
                    tagOverrides=Named(fields(text="value", operation=choice("UPSERT REMOVE"))),
                )
            ),
        )
    ),
)
