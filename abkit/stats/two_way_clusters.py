"""Two arms compared on a technical metric, which varies by user and by instance.

Replicates alone don't see what an instance does to all its users: with three pods a side that differ by 10 % they
call a false winner in 75 % of A/A tests. Instances alone don't see sticky users when there are few of them. Two-way
clustering sees both.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from abkit.stats.clusters import ClusterSums, divide, effective_clusters, effective_events
from abkit.stats.comparison import Comparison, conclude
from abkit.stats.ratio import (
    active,
    borrower,
    counted,
    instance_df,
    leave_one_out_variance,
    linearised,
    log_variance,
    logarithms,
    variance_of_instances,
    variance_of_mean,
    without_one,
)
from abkit.stats.small_arms import (
    MINIMUM_EFFECTIVE_CLUSTERS,
    SMALL_ARM,
    early_enough,
    guarded,
    inflation,
    lent,
    steadied,
    too_few,
    unscattered,
)
from abkit.stats.special import check_alternative, check_confidence

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]

__all__ = ["two_way"]


@np.errstate(all="ignore")
def two_way(
    control: ClusterSums,
    treatment: ClusterSums,
    confidence: float = 0.95,
    alternative: str = "two-sided",
    *,
    cluster: str = "hash replicate",
    instance: str = "instance",
    minimum_effective: float = MINIMUM_EFFECTIVE_CLUSTERS,
) -> Comparison:
    """Compare a ratio of sums with clusters two ways: hash replicates and instances.

    Variance max(V_rep + V_inst - V_cell, V_rep, V_inst) (Cameron, Gelbach & Miller, JBES 2011, with the maximum where
    the difference falls short). V_rep runs across arms, with the small-arm rule; V_cell within each; V_inst is the
    delete-one-instance jackknife in each. T has effective instances - 2 degrees of freedom, which is instances₀ +
    instances₁ - 2 where traffic is equal: with unequal traffic the plain count calls up to 15 % false winners. The arm
    with fewer instances has at least the other's variance between them, scaled to its number; so an arm with one
    instance borrows it, and with one in each there is no result. Instances without traffic don't count: rows may be
    padded.

    Args:
        control: Sums per cell, (…, replicate, instance).
        treatment: The same; the same replicates in the same order, its own instances.
        confidence: Of the intervals.
        alternative: `two-sided`, `greater` or `less`, about treatment - control.
        cluster: What a replicate is, for the words of the result.
        instance: What an instance is, for the words of the result.
        minimum_effective: Effective replicates, in each arm, below which there is no result. Instances have the same
            minimum in each arm, where it has more than one.

    Raises:
        ValueError: Unknown alternative, confidence outside 0 … 1, or shapes that don't fit.

    >>> cells = np.array([[10, 12], [9, 11], [12, 10], [8, 12]])
    >>> result = two_way(ClusterSums(cells, 100), ClusterSums(cells[::-1] + 2, 100))
    >>> result.replication, round(result.effect, 4), result.df
    ('4 hash replicates × 2 instances', 0.02, 2.0)
    """
    check_alternative(alternative)
    check_confidence(confidence)
    if control.num.ndim < 2 or control.num.shape[:-1] != treatment.num.shape[:-1]:
        msg = (
            f"control has shape {control.num.shape} and treatment {treatment.num.shape}: both must be "
            "(…, replicate, instance), with the same leading axes and replicates"
        )
        raise ValueError(msg)
    arms = (control, treatment)
    G = control.num.shape[-2]
    num = [arm.num.sum((-2, -1)) for arm in arms]
    den = [arm.den.sum((-2, -1)) for arm in arms]
    rate = [divide(n, d) for n, d in zip(num, den, strict=True)]
    parts = [_cells(arm) for arm in arms]
    relative = [divide(u, r[..., None, None]) for u, r in zip(parts, rate, strict=True)]
    by_replicate = [effective_clusters(arm.den.sum(-1)) for arm in arms]
    # A few events are as uncertain as a few clusters.
    events = effective_events(control.num.sum(-1)), effective_events(treatment.num.sum(-1))
    rare = np.minimum(by_replicate[0], events[0]), np.minimum(by_replicate[1], events[1])
    served = [arm.den.sum(-2) for arm in arms]
    by_instance = effective_clusters(served[0]), effective_clusters(served[1])
    number = active(served[0]), active(served[1])
    scale = divide(den[0], den[1])
    empty = (num[0] == 0) & ~np.isnan(rate[0]), (num[1] == 0) & ~np.isnan(rate[1])

    left = [without_one(arm.num.sum(-1), arm.den.sum(-1)) for arm in arms]
    logs = logarithms(left[1]) - logarithms(left[0])
    own_logs = log_variance(relative[0].sum(-1), left[0]), log_variance(relative[1].sum(-1), left[1])

    def variance(cells: list[Floats], *, log: bool) -> Floats:
        replicates = [u.sum(-1) for u in cells]
        across = variance_of_mean(replicates[1] - replicates[0])
        if log:
            each, across = own_logs, np.fmax(across, leave_one_out_variance(logs))
            rule = guarded(each, scale, rare, empty)
        else:
            each = variance_of_mean(replicates[0]), variance_of_mean(replicates[1])
            rule = steadied(guarded(each, scale, rare, empty), own_logs, (rate[0], rate[1]), scale, events)
        v_rep = across * inflation(each, rule)
        alone = (
            variance_of_instances(cells[0].sum(-2), served[0]),
            variance_of_instances(cells[1].sum(-2), served[1]),
        )
        instances = lent(alone, scale, by_instance, number)
        v_inst = instances[0] + instances[1]
        v_cell = sum(variance_of_mean(u.reshape(*u.shape[:-2], -1)) for u in cells)
        return np.asarray(np.maximum(v_rep + v_inst - v_cell, np.maximum(v_rep, v_inst)))

    single = number[0] == 1, number[1] == 1
    refusals: list[tuple[ArrayLike, str]] = [
        (single[0] & single[1], f"one {instance} in each arm: nothing shows how much it varies by itself"),
        (np.asarray(G == 1), f"one {cluster}: compare by {instance} alone"),
    ]
    refusals += too_few((by_replicate[0], by_replicate[1]), (G, G), cluster, minimum_effective)
    refusals += too_few(by_instance, number, instance, minimum_effective, larger=False)
    small = (rare[0] < SMALL_ARM) | (rare[1] < SMALL_ARM) | empty[0] | empty[1]
    method = f"ratio of sums, two-way clusters ({cluster}, {instance}), t on effective {instance}s"
    assumption = f"Cells that share neither {cluster} nor {instance} vary independently of one another."
    lone = borrower(single, instance)
    if lone:
        method += lone
        assumption = f"{assumption[:-1]}, and {instance}s of both arms vary alike."
    if small.any():
        method += ", small-arm rule"
    return conclude(
        rate[0],
        rate[1],
        variance(parts, log=False),
        variance(relative, log=True),
        df=instance_df(by_instance),
        confidence=confidence,
        alternative=alternative,
        effective=(by_replicate[0], by_replicate[1]),
        small_arm=small,
        early_looks=early_enough((control.num.sum(-1), treatment.num.sum(-1))),
        refusals=refusals,
        lift_refusals=unscattered(
            (control.num.sum(-1), treatment.num.sum(-1)), (left[0], left[1]), cluster, minimum_effective
        ),
        method=method,
        replication=f"{G} {cluster}s × {counted(instance, number)}",
        assumption=assumption,
    )


def _cells(arm: ClusterSums) -> Floats:
    """What each cell adds to the error of the arm's ratio, shape (…, replicate, instance)."""
    shape = arm.num.shape
    flat = (*shape[:-2], shape[-2] * shape[-1])
    return linearised(arm.num.reshape(flat), arm.den.reshape(flat)).reshape(shape)
