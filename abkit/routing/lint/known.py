"""The fields of all other objects, and which API versions there are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from abkit.routing.lint import known_istio
from abkit.routing.lint.objects import ARGO, FLAGGER, GATEWAY, ISTIO, LINKERD, SMI
from abkit.routing.lint.shape import Fields, Items, Length, Named, Scalar, choice, fields

__all__ = ["KINDS", "METADATA", "Kind"]


@dataclass(frozen=True, slots=True)
class Kind:
    """What is known of a kind.

    Attributes:
        spec: The fields of its `spec`, or of the whole object where it has none.
        versions: The API versions that are served, the one to write first.
        current: Which of them are as good as the first.
    """

    spec: Fields
    versions: tuple[str, ...]
    current: frozenset[str]


_TEXTS: Final = Named(Scalar.TEXT)
METADATA: Final = fields(text="name namespace", labels=_TEXTS, annotations=_TEXTS, is_open=True)

# Gateway API
_REF: Final = fields(text="group kind name namespace", integer="port", required="name")
_HEADER: Final = Items(fields(text="name value", required="name value"))
_CHANGES: Final = fields(texts="remove", add=_HEADER, set=_HEADER)
_PATH_CHANGE: Final = fields(text="replaceFullPath replacePrefixMatch type", required="type")
_WAYS: Final = choice("Exact RegularExpression")
_PARAMETER: Final = Items(fields(text="name value", type=_WAYS, required="name value"))
_REDIRECT: Final = fields(text="hostname scheme", integer="port statusCode", path=_PATH_CHANGE)
_FILTER: Final = fields(
    whatever="cors externalAuth",
    extensionRef=fields(text="group kind name", required="group kind name"),
    requestHeaderModifier=_CHANGES,
    responseHeaderModifier=_CHANGES,
    requestMirror=fields(
        integer="percent",
        backendRef=_REF,
        fraction=fields(integer="denominator numerator", required="numerator"),
        required="backendRef",
    ),
    requestRedirect=_REDIRECT,
    urlRewrite=fields(text="hostname", path=_PATH_CHANGE),
    type=choice(
        "RequestHeaderModifier ResponseHeaderModifier RequestMirror RequestRedirect URLRewrite ExtensionRef CORS "
        "ExternalAuth"
    ),
    required="type",
)
_GEP: Final = Length("gep-2257")
HTTP_ROUTE: Final = fields(
    text="useDefaultGateways",
    texts="hostnames",
    parentRefs=Items(fields(_REF, text="sectionName", required="name")),
    rules=Items(
        fields(
            text="name",
            whatever="sessionPersistence",
            matches=Items(
                fields(
                    headers=_PARAMETER,
                    queryParams=_PARAMETER,
                    method=choice("GET HEAD POST PUT DELETE CONNECT OPTIONS TRACE PATCH"),
                    path=fields(text="value", type=choice("Exact PathPrefix RegularExpression")),
                )
            ),
            backendRefs=Items(fields(_REF, integer="weight", filters=Items(_FILTER), required="name")),
            filters=Items(_FILTER),
            timeouts=fields(request=_GEP, backendRequest=_GEP),
            retry=fields(integer="attempts", backoff=_GEP, codes=Items(Scalar.INTEGER)),
        )
    ),
)

TRAFFIC_SPLIT: Final = fields(
    text="service",
    matches=Items(fields(text="kind name", required="kind name")),
    backends=Items(fields(text="service", weight=Scalar.ANY, required="service weight")),
    required="service backends",
)

# Flagger
_REFERENCE: Final = fields(text="apiVersion kind name namespace", required="apiVersion kind name")
_FLAGGER: Final = Length("flagger")
CANARY: Final = fields(
    text="provider metricsServer",
    number="progressDeadlineSeconds",
    boolean="skipAnalysis revertOnDeletion suspend",
    targetRef=_REFERENCE,
    autoscalerRef=fields(_REFERENCE, whatever="primaryScalerQueries primaryScalerReplicas", required="kind name"),
    ingressRef=_REFERENCE,
    routeRef=_REFERENCE,
    upstreamRef=_REFERENCE,
    service=fields(
        text="name portName appProtocol trafficDistribution meshName",
        number="port",
        boolean="portDiscovery headless delegation",
        texts="backends hosts gateways",
        whatever="apex canary corsPolicy gatewayRefs headers match mirror primary rewrite unmanagedMetadata",
        targetPort=Scalar.INTEGER_OR_TEXT,
        timeout=Length("go-any"),
        backendTimeout=Length("go-any"),
        retries=fields(text="retryOn", integer="attempts", perTryTimeout=Length("go-any")),
        trafficPolicy=known_istio.TRAFFIC_POLICY,
        required="port",
    ),
    analysis=fields(
        number="iterations threshold maxWeight stepWeight stepWeightPromotion mirrorWeight primaryReadyThreshold "
        "canaryReadyThreshold",
        boolean="mirror",
        whatever="match alerts sessionAffinity",
        interval=_FLAGGER,
        stepWeights=Items(Scalar.NUMBER),
        metrics=Items(
            fields(
                text="name query",
                number="threshold",
                whatever="thresholdRange templateRef templateVariables",
                interval=_FLAGGER,
                required="name",
            )
        ),
        webhooks=Items(
            fields(
                text="name type url",
                number="retries",
                boolean="muteAlert disableTLS",
                whatever="metadata",
                timeout=_FLAGGER,
                required="name url",
            )
        ),
    ),
    required="targetRef analysis",
)

# Argo Rollouts
_ARGO: Final = Length("argo", numbers=True)
_STEP: Final = fields(
    integer="setWeight",
    whatever="analysis experiment plugin setHeaderRoute setMirrorRoute",
    pause=fields(duration=_ARGO),
    setCanaryScale=fields(integer="replicas weight", boolean="matchTrafficWeight"),
)
ROLLOUT: Final = fields(
    integer="minReadySeconds progressDeadlineSeconds replicas revisionHistoryLimit",
    boolean="paused progressDeadlineAbort",
    text="restartAt",
    whatever="analysis rollbackWindow workloadRef",
    selector=fields(whatever="matchExpressions", matchLabels=_TEXTS),
    template=fields(metadata=METADATA, whatever="spec"),
    strategy=fields(
        whatever="blueGreen",
        canary=fields(
            integer="abortScaleDownDelaySeconds minPodsPerReplicaSet scaleDownDelayRevisionLimit scaleDownDelaySeconds",
            text="canaryService stableService",
            boolean="dynamicStableScale",
            whatever="analysis antiAffinity canaryMetadata pingPong replicaProgressThreshold stableMetadata",
            maxSurge=Scalar.INTEGER_OR_TEXT,
            maxUnavailable=Scalar.INTEGER_OR_TEXT,
            steps=Items(_STEP),
            trafficRouting=fields(
                integer="maxTrafficWeight",
                whatever="alb ambassador apisix appMesh nginx plugins smi traefik",
                istio=fields(
                    whatever="virtualService virtualServices",
                    destinationRule=fields(
                        text="name canarySubsetName stableSubsetName", whatever="additionalSubsetNames"
                    ),
                ),
                managedRoutes=Items(fields(text="name", required="name")),
            ),
        ),
    ),
)

# Litmus; it keeps unknown fields, so that nothing else tells of a misspelt one.
CHAOS_ENGINE: Final = fields(
    text="auxiliaryAppInfo chaosServiceAccount",
    boolean="defaultHealthCheck",
    integer="terminationGracePeriodSeconds",
    whatever="components selectors",
    appinfo=fields(text="appkind applabel appns"),
    engineState=choice("active stop"),
    jobCleanUpPolicy=choice("delete retain"),
    experiments=Items(
        fields(
            text="name",
            spec=fields(
                whatever="probe",
                components=fields(
                    whatever="configMaps experimentAnnotations experimentImage nodeSelector secrets "
                    "statusCheckTimeouts tolerations",
                    env=Items(fields(text="name value", whatever="valueFrom")),
                ),
            ),
        )
    ),
)

# Kubernetes: only what labels and selectors need.
_POD: Final = fields(
    metadata=METADATA,
    spec=fields(
        containers=Items(fields(env=Items(fields(text="name value", is_open=True)), is_open=True)), is_open=True
    ),
    is_open=True,
)
_WORKLOAD: Final = fields(
    integer="replicas", selector=fields(matchLabels=_TEXTS, is_open=True), template=_POD, is_open=True
)
_SERVICE: Final = fields(selector=_TEXTS, is_open=True)


def _kind(spec: Fields, current: str, old: str = "") -> Kind:
    return Kind(spec, (*current.split(), *old.split()), frozenset(current.split()))


KINDS: Final[Mapping[tuple[str, str], Kind]] = {
    (ISTIO, "VirtualService"): _kind(known_istio.VIRTUAL_SERVICE, "v1", "v1beta1 v1alpha3"),
    (ISTIO, "DestinationRule"): _kind(known_istio.DESTINATION_RULE, "v1", "v1beta1 v1alpha3"),
    (ISTIO, "EnvoyFilter"): _kind(known_istio.ENVOY_FILTER, "v1alpha3"),
    ("telemetry.istio.io", "Telemetry"): _kind(known_istio.TELEMETRY, "v1", "v1alpha1"),
    (GATEWAY, "HTTPRoute"): _kind(HTTP_ROUTE, "v1", "v1beta1"),
    (LINKERD, "HTTPRoute"): _kind(HTTP_ROUTE, "v1beta3", "v1beta2 v1beta1 v1alpha1"),
    (SMI, "TrafficSplit"): _kind(TRAFFIC_SPLIT, "v1alpha4 v1alpha2 v1alpha1 v1alpha3"),
    (FLAGGER, "Canary"): _kind(CANARY, "v1beta1"),
    (ARGO, "Rollout"): _kind(ROLLOUT, "v1alpha1"),
    ("litmuschaos.io", "ChaosEngine"): _kind(CHAOS_ENGINE, "v1alpha1"),
    ("apps", "Deployment"): _kind(_WORKLOAD, "v1"),
    ("apps", "StatefulSet"): _kind(_WORKLOAD, "v1"),
    ("", "Service"): _kind(_SERVICE, "v1"),
}
