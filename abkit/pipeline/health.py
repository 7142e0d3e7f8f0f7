"""Whether results may be believed: the users' split against the intended one, and the data's quality."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

import numpy as np

from abkit import stats
from abkit.evidence import Finding, Severity, Srm
from abkit.evidence import Quality as QualityModel
from abkit.pipeline.totals import Totals
from abkit.queries import EXPOSED_USERS, ResolvedMetric
from abkit.spec import Experiment, Role, Strategy
from abkit.store import Quality
from abkit.wording import percent, plural

__all__ = ["FEW_USERS", "SRM_ALPHA", "quality_of", "srm_of"]

FEW_USERS = 20
"""Fewer users first exposed are nearly none."""

_LATE_MS = 5 * 60_000

_NOTABLE = 0.001
"""A smaller share of what is counted is not worth a word."""

SRM_ALPHA = 0.001
"""Always-valid p below which the split is called wrong: a false alarm costs a whole test."""


def srm_of(
    experiment: Experiment, exposed: ResolvedMetric, totals: Totals, periods: Sequence[tuple[Mapping[str, int], Totals]]
) -> Srm:
    """Compare users first exposed with the split that was in force.

    Users, not requests: a treatment that makes users more active moves requests without any mismatch.

    Args:
        experiment: The experiment file.
        exposed: The metric that counts first exposures.
        totals: The store's totals of the whole window.
        periods: Splits that are known, and the totals of the time in which they surely were in force: not the minutes
            after a change, in which users of the split before are still counted.
    """
    data = exposed.inputs[Role.NUMERATOR]
    variants = list(experiment.variants)
    rows = totals.rows(data.id)
    if not totals.any_rows(data.id).any():
        reason = f"The services don't count first exposures ({data.selector}), so the split of users can't be checked."
        return Srm(status="unavailable", reason=reason)
    if (totals.assignment[rows] == "").any():
        reason = "First exposures don't say how they were assigned (ab_assignment), so the split can't be checked."
        return Srm(status="unavailable", reason=reason)
    mirror = experiment.mirror
    if mirror is not None and experiment.strategy is Strategy.MIRROR:
        periods = [(split, period) for split, period in periods if split.get(mirror.to, 0)]
        if not periods:
            reason = f"{mirror.to} gets copies of the control's requests: there is no split of users to check."
            return Srm(status="unavailable", reason=reason)
    planned = [name for name in variants if any(split.get(name, 0) for split, _ in periods)]
    others = [name for name in planned if name != experiment.control]
    if others and not any(totals.sum(data.id, name) for name in others):
        how = " and ".join(
            sorted({str(way) for name in others for way in totals.assignment[totals.any_rows(data.id, name)]})
        )
        if how:
            reason = f"Users come to {' and '.join(others)} by {how}, not by the hash: there is no split to check."
            return Srm(status="unavailable", reason=reason)
    counted = [
        (np.rint([period.sum(data.id, name) for name in variants]), [float(split.get(name, 0)) for name in variants])
        for split, period in periods
    ]
    counted = [(users, weights) for users, weights in counted if users.sum() > 0 and sum(weights) > 0]
    if not counted:
        reason = "No user was first exposed while the split was known."
        return Srm(status="unavailable", reason=reason)
    found = stats.srm([users for users, _ in counted], [weights for _, weights in counted], alpha=SRM_ALPHA)
    users = dict(zip(variants, map(int, found.observed), strict=True))
    expected = dict(zip(variants, found.expected, strict=True))
    shown = ", ".join(f"{name} {users[name]:,} of {expected[name]:,.0f} expected" for name in variants)
    if found.alarm:
        stray = f" {found.stray:,.0f} of them are in a variant that should get none." if found.stray else ""
        p = "" if found.sequential_p_value is None else f" (always-valid p = {found.sequential_p_value:.1g})"
        reason = (
            f"Users are not split as intended: {shown}{p}.{stray} "
            "Something loses or adds users on one side: results can't be trusted."
        )
    else:
        reason = f"Users are split as intended: {shown}."
    return Srm(
        status="mismatch" if found.alarm else "ok",
        reason=reason,
        observed=users,
        expected=expected,
        p_value=found.p_value,
        sequential_p_value=found.sequential_p_value,
        method=found.method,
    )


def quality_of(
    quality: Quality | None,
    experiment: Experiment,
    *,
    left_out: Sequence[tuple[datetime, datetime]] = (),
    attributed: Mapping[str, frozenset[str]] | None = None,
    more: Sequence[Finding] = (),
) -> QualityModel:
    """What a reader should know about the data, from the latest pull.

    Args:
        quality: As the store keeps it; None before the first pull.
        experiment: The experiment file.
        left_out: Spans in which the split changed, nobody knows when.
        attributed: Variant → versions that the latest pull counted for it.
        more: What the evaluation itself found.
    """
    findings = tuple(_findings(quality, experiment)) if quality is not None else ()
    findings += tuple(
        Finding(
            code="split-unknown",
            severity=Severity.WARNING,
            message=f"The split changed between {start:%Y-%m-%d %H:%M} and {end:%Y-%m-%d %H:%M} UTC, nobody knows "
            "when: this time is left out. Name the moment under ramp: to have it counted.",
        )
        for start, end in left_out
    )
    findings += tuple(
        Finding(
            code="file-changed",
            severity=Severity.INVALID,
            message=f"The file says that {name} is version {experiment.variants[name].version}, but what was pulled "
            f"for it is of {' and '.join(sorted(versions))}: pull again (abkit pull).",
        )
        for name, versions in (attributed or {}).items()
        if name in experiment.variants and experiment.variants[name].version not in versions
    )
    findings += tuple(more)
    severities = {finding.severity for finding in findings}
    return QualityModel(
        status="invalid" if Severity.INVALID in severities else "warning" if Severity.WARNING in severities else "ok",
        findings=findings,
        scrape_interval_ms=None if quality is None else quality.scrape_interval_ms,
    )


def _effect(quality: Quality, field: str, what: str = "of what an input counts") -> str:
    """The size of a finding's effect, in brackets."""
    share = quality.effects.get(field, 0.0)
    return f" (up to {percent(share)} {what})" if share else ""


def _findings(quality: Quality, experiment: Experiment) -> list[Finding]:
    found: list[Finding] = []

    def add(code: str, severity: Severity, message: str) -> None:
        found.append(Finding(code=code, severity=severity, message=message))

    if missing := [name for name in quality.missing_variants if experiment.split[name] > 0]:
        message = f"No events of {', '.join(missing)}: check that it runs, gets traffic and is scraped."
        add("missing-variants", Severity.WARNING, message)
    if quality.bad_replicates:
        names = ", ".join(f"{value!r} ({series} series)" for value, series in quality.bad_replicates.items())
        message = (
            f"ab_replicate has values outside 0 … {experiment.assignment.replicates - 1}: {names}: "
            f"make the services and assignment.replicates agree{_effect(quality, 'bad_replicates')}."
        )
        add("bad-replicates", Severity.INVALID, message)
    for name, series in quality.vanished.items():
        message = (
            f"{name}: all {series:,} series ended while their pods go on: what isn't counted any more looks like none."
        )
        add("vanished", Severity.WARNING, message)
    if quality.doubled_targets:
        message = (
            f"{plural(quality.doubled_targets, 'target')} scraped more than once, by two jobs: counts are too high."
        )
        add("doubled-targets", Severity.WARNING, message)
    for label, series in quality.unnamed_replicas.items():
        message = (
            f"{series:,} series are there once more under another {label}: replicas of a Prometheus, counted twice. "
            f"Name it: source.replica-labels: [{label}]."
        )
        add("doubled-replicas", Severity.WARNING, message)
    for name, there in quality.one_sided.items():
        others = [other for other, share in experiment.split.items() if share and other not in there.split(", ")]
        # Who counts nothing at all is named above.
        if not set(others) <= set(quality.missing_variants):
            message = f"{name}: only {there} has series, not {' and '.join(others)}: check what it exposes."
            add("one-sided", Severity.WARNING, message)
    if quality.relabelled:
        effect = _effect(quality, "relabelled")
        message = f"{quality.relabelled:,} series go on under other labels{effect}: counted once."
        add("relabelled", Severity.NOTE, message)
    for index, (value, series) in enumerate(quality.unmatched_series.items()):
        where = f"the version or variant {value!r}, which no variant of the experiment has" if value else "no version"
        effect = "" if index else _effect(quality, "unmatched_series", "of what an input counts, all such together")
        add("unmatched-series", Severity.WARNING, f"{series:,} series with {where}{effect}: counted for nobody.")
    # Only an A/B test's split is checked on users.
    needless = f"{EXPOSED_USERS}/" if experiment.canary is not None else None
    if empty := [name for name in quality.empty_inputs if needless is None or not name.startswith(needless)]:
        message = f"Nothing was found for {', '.join(empty)}: check that the services expose it."
        add("empty-inputs", Severity.WARNING, message)
    found += _of_the_moment(quality, experiment)
    if quality.non_finite:
        message = f"{plural(quality.non_finite, 'sample')} NaN, infinite, negative or absurd: dropped."
        add("non-finite", Severity.WARNING, message)
    if quality.unseen_births and not quality.approximate:
        effect = _effect(quality, "unseen_births", "of what an input counts, estimated")
        message = f"{quality.unseen_births:,} series appeared, and nobody saw them begin: first values are left out"
        message += f"{effect}."
        add("unseen-births", Severity.WARNING, message)
    if quality.gaps and not quality.approximate:
        effect = _effect(quality, "gaps")
        message = (
            f"{plural(quality.gaps, 'scrape gap')}: what was counted in a gap{effect} is kept and lands at its end."
        )
        add("gaps", Severity.NOTE, message)
    if (share := quality.effects.get("births", 0.0)) >= _NOTABLE and not quality.approximate:
        message = f"{quality.births:,} series began and count from 0: up to {percent(share)} of what an input counts."
        add("births", Severity.NOTE, message)
    if quality.resets and not quality.approximate:
        effect = _effect(quality, "resets", "of what an input counts, estimated")
        message = (
            f"{plural(quality.resets, 'restart')}: what was counted after the last scrape before it is lost{effect}."
        )
        add("resets", Severity.NOTE, message)
    if quality.targets_without_start and not quality.approximate:
        message = (
            f"{quality.targets_without_start} of {quality.targets} targets expose no process_start_time_seconds: "
            "a restart shows only where a counter falls."
        )
        add("no-process-start", Severity.NOTE, message)
    for warning in quality.warnings:
        add("server-warning", Severity.WARNING, f"The server warned: {warning}")
    return found


def _of_the_moment(quality: Quality, experiment: Experiment) -> list[Finding]:
    """What is missing or late so far, and how it was read."""
    found: list[Finding] = []
    if experiment.canary is None and quality.exposures:
        few = [
            f"{plural(round(quality.exposures.get(name, 0)), 'user')} of {name}"
            for name, share in experiment.split.items()
            if share and quality.exposures.get(name, 0) < FEW_USERS
        ]
        if few:
            message = f"Only {' and '.join(few)} first exposed so far: too few to say anything about them."
            found.append(Finding(code="few-exposures", severity=Severity.WARNING, message=message))
    if quality.behind_ms > max(_LATE_MS, 5 * (quality.scrape_interval_ms or 0)):
        message = (
            f"The newest sample is {quality.behind_ms / 60_000:,.0f} min older than what was asked for: "
            "check that the services are scraped and the server is up to date."
        )
        found.append(Finding(code="behind", severity=Severity.WARNING, message=message))
    if quality.late_samples:
        message = (
            f"{plural(quality.late_samples, 'sample')} came more than a minute late: counted now; what comes more than "
            "five minutes late is read by abkit pull --start alone."
        )
        found.append(Finding(code="late", severity=Severity.NOTE, message=message))
    if quality.approximate:
        message = (
            "Counts are sums that the server made (source.mode: push-down), approximate: what restarts and births "
            "hide within a step is not seen."
        )
        found.append(Finding(code="push-down", severity=Severity.WARNING, message=message))
    return found
