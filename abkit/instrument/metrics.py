"""What a service counts for an experiment."""

from __future__ import annotations

import math
import re
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from threading import Lock
from typing import Final

from prometheus_client import REGISTRY, CollectorRegistry

from abkit.assignment import BUCKETS, variant_of_bucket
from abkit.errors import InputError, did_you_mean
from abkit.instrument.context import Context
from abkit.instrument.families import LABELS, BucketFamily, CounterFamily, Family, UntypedFamily, family, with_infinity

__all__ = ["NO_REPLICATE", "PAGE_LOAD_BUCKETS", "Assigned", "ExperimentMetrics"]

NO_REPLICATE: Final = ""
"""The label `ab_replicate` of what belongs to no replicate: an empty label is a missing one to Prometheus."""

PAGE_LOAD_BUCKETS: Final = (0.1, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0)
"""Upper bounds of the page load time's buckets in seconds; +Inf follows."""

_EXPOSED: Final = "exposed_users"
_BUILT_IN: Final = {
    _EXPOSED: "Users at their first exposure to the experiment.",
    "page_views": "Page views.",
    "clicks": "Clicks.",
    "purchases": "Purchases: page views that ended in one.",
    "orders": "Orders.",
    "revenue": "Revenue, in the shop's currency.",
}
_MORE: Final[Mapping[str, Mapping[str, str]]] = {
    "payments": {
        "payment_attempts": "Attempts to pay.",
        "payments": "Attempts to pay that succeeded.",
    },
    "visits": {
        "visits": "Visits.",
        "bounces": "Visits that ended on the page that they began with.",
    },
    "activity": {"active_users": "Users, each once a day (UTC) on which they came."},
    "dwell": {},
}
_LOAD: Final = "ab_page_load_seconds"
_DWELL: Final = "ab_dwell_seconds"
_ACTIVE: Final = "active_users"
_ONCE: Final = {_EXPOSED: "expose(), once a user", _ACTIVE: "active(), once a user and day"}
_DAY: Final = 86_400
_REASONS: Final = ("not-marked", "unknown-variant", "other-experiment", "no-replicate", "exposed-too-late")
_ASSIGNMENTS: Final = ("hash", "rule", "forced", "none")
_LABEL: Final = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_NAME: Final = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
_SUFFIXES: Final = ("_total", "_created", "_bucket", "_sum", "_count", "_info")
_RECENT: Final = 10_000


@dataclass(frozen=True, slots=True)
class Assigned:
    """A unit's place in one experiment.

    Attributes:
        variant: The variant's name.
        assignment: How it came to it: `hash`, `rule`, `forced` or `none`.
        replicate: The unit's hash replicate; None without a unit.
    """

    variant: str
    assignment: str
    replicate: int | None


class ExperimentMetrics:
    """Counters of one experiment, by variant, replicate and assignment; safe to use from many threads.

    All children are made at the start, so that the first event is an increment from 0 and not a series that appears.
    Experiments of one process share the families. An event that can't be attributed is not dropped in silence: it is
    counted in `abkit_uncounted_events_total` with its reason.

    Args:
        experiment: The experiment's name.
        variants: Variant → version, in the experiment file's order. A service under test may name just those that its
            own version serves, and so keep the others' series away; then events of others are uncounted.
        version: This process's own version: the label `version`.
        layer: The experiment's layer; its name where left out.
        split: Variant → basis points, 10,000 in all: for a service that no mesh marks requests for, and that therefore
            assigns by bucket itself.
        without_unit: With `split`: the variant of requests without a unit; the control where left out.
        pre_period: Whether the experiment has yet to start: requests are labelled by the variant that their unit will
            come to, by bucket and `split` whatever the mesh marks, and `expose` counts nobody, for nobody has seen it.
            One version serves everyone then and names all variants. What is counted so is the covariate of
            `analysis.pre-period`, and an A/A test.
        replicates: Number of hash replicates, as in the experiment file.
        assignments: The assignments whose children are made at the start; others appear with their first event.
        counters: Counters of your own: name → help text. `wishlist` becomes `ab_wishlist_total`.
        more: Further families, since each multiplies with variants, replicates and assignments: `payments` (attempts
            to pay and successes), `visits` (visits and bounces), `dwell` (time on a page), `activity` (users a day).
        page_load_buckets: Upper bounds in seconds, rising.
        clock: Seconds since the epoch: which day it is.
        registry: Where the families are registered; the client's default one where left out.

    Raises:
        InputError: A name, a split or a bound is wrong, or the registry has a metric of the same name.
    """

    def __init__(
        self,
        experiment: str,
        variants: Mapping[str, str],
        version: str,
        *,
        layer: str | None = None,
        split: Mapping[str, int] | None = None,
        without_unit: str | None = None,
        pre_period: bool = False,
        replicates: int = 32,
        assignments: Iterable[str] = ("hash", "rule", "none"),
        counters: Mapping[str, str] | None = None,
        more: Iterable[str] = (),
        page_load_buckets: Iterable[float] = PAGE_LOAD_BUCKETS,
        clock: Callable[[], float] = time.time,
        registry: CollectorRegistry | None = None,
    ) -> None:
        self.experiment = experiment
        self.variants = dict(variants)
        self.version = version
        self.layer = layer or experiment
        self.replicates = replicates
        self._split = None if split is None else {name: split[name] for name in self.variants if name in split}
        control = "control" if "control" in self.variants else next(iter(self.variants), "")
        self._without_unit = without_unit or control
        self._pre_period = pre_period
        self._recent: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._recent_lock = Lock()
        own = dict(counters or {})
        made = tuple(assignments)
        self._clock = clock
        self._more = frozenset(more)
        self._check(split, made, own)
        built_in = dict(_BUILT_IN)
        for name in sorted(self._more):
            built_in |= _MORE[name]
        target = REGISTRY if registry is None else registry
        try:
            self._bounds = with_infinity(page_load_buckets)
            self._counters = {
                name: family(target, f"ab_{name}", partial(CounterFamily, f"ab_{name}", words))
                for name, words in (built_in | own).items()
            }
            times = {_LOAD: "Page load time"} | ({_DWELL: "Time on a page"} if "dwell" in self._more else {})
            self._times = {
                name: tuple(
                    family(target, f"{name}_{part}", partial(UntypedFamily, f"{name}_{part}", f"{what}{words}"))
                    for part, words in (("sum", " in seconds, sum."), ("count", ", number of pages."))
                )
                for name, what in times.items()
            }
            name, words = f"{_LOAD}_bucket", "Page load time, number of pages that took le seconds at most."
            self._buckets = family(target, name, partial(BucketFamily, name, words))
            name, words = (
                "abkit_uncounted_events",
                "Events that belong to no variant of the experiment, or no replicate.",
            )
            labels = ("ab_experiment", "version", "reason")
            self._uncounted = family(target, name, partial(CounterFamily, name, words, labels))
        except ValueError as error:
            msg = f"experiment {experiment}: {error}"
            raise InputError(msg) from None
        self._create(made)

    def page_view(self, who: Context | Assigned) -> None:
        """Count a page view."""
        self.count("page_views", who)

    def click(self, who: Context | Assigned) -> None:
        """Count a click."""
        self.count("clicks", who)

    def purchase(self, who: Context | Assigned) -> None:
        """Count a page view that ended in a purchase."""
        self.count("purchases", who)

    def order(self, who: Context | Assigned) -> None:
        """Count an order."""
        self.count("orders", who)

    def payment(self, who: Context | Assigned, *, succeeded: bool) -> None:
        """Count an attempt to pay, and whether it succeeded. Needs `more=["payments"]`."""
        self.count("payment_attempts", who)
        if succeeded:
            self.count("payments", who)

    def visit(self, who: Context | Assigned) -> None:
        """Count a visit: a session, by your own rule of when one begins. Needs `more=["visits"]`."""
        self.count("visits", who)

    def bounce(self, who: Context | Assigned) -> None:
        """Count a visit that ended on its first page, once that is known. Needs `more=["visits"]`."""
        self.count("bounces", who)

    def revenue(self, who: Context | Assigned, amount: float) -> None:
        """Add revenue; refunds are a counter of their own, since counters can't fall."""
        self.count("revenue", who, amount)

    def page_load(self, who: Context | Assigned, seconds: float) -> None:
        """Count a page load time.

        Args:
            who: The request's context, or the place of the unit.
            seconds: How long the page took.

        Raises:
            InputError: It is no time, or the place is not one of the experiment.
        """
        _amount("page_load", seconds)
        if (place := self._place(who)) is not None:
            self._buckets.observe(_without_replicate(self._labels(place)), self._bounds, seconds)
            self._time(_LOAD, place, seconds)

    def dwell(self, who: Context | Assigned, seconds: float) -> None:
        """Count how long a user stayed on a page, once that is known. Needs `more=["dwell"]`.

        Args:
            who: The request's context, or the place of the unit.
            seconds: How long; what a page left open would add is yours to cap.

        Raises:
            InputError: It is no time, the place is not one of the experiment, or the family was not asked for.
        """
        _amount("dwell", seconds)
        if _DWELL not in self._times:
            raise self._not_asked_for("dwell")
        if (place := self._place(who)) is not None:
            self._time(_DWELL, place, seconds)

    def count(self, name: str, who: Context | Assigned, amount: float = 1) -> None:
        """Count an event.

        Args:
            name: The counter: one of your own, or a built-in such as `clicks`.
            who: The request's context, or the place of the unit.
            amount: How much to add.

        Raises:
            InputError: There is no such counter, the amount is negative or no number, or the place is not one of the
                experiment.
        """
        if name in _ONCE:
            msg = f"experiment {self.experiment}: {name} are counted by {_ONCE[name]}"
            raise InputError(msg)
        if name not in self._counters:
            if group := next((group for group, families in _MORE.items() if name in families), None):
                raise self._not_asked_for(group)
            words = did_you_mean(name, self._counters.keys() - _ONCE.keys())
            msg = f"experiment {self.experiment}: no counter '{name}': {words}"
            raise InputError(msg)
        _amount(name, amount)
        if (place := self._place(who)) is not None:
            self._counters[name].add(self._labels(place), amount)

    def expose(self, context: Context) -> bool:
        """Note that the user sees the experiment, and count the user if it is for the first time.

        The marker is a cookie of the response: call it before the response begins. Once it has begun the exposure is
        not counted (a later request's is), for it would be counted again each time. A request without a unit is no
        user. Who came by a rule first and by the hash later is counted under each.

        Returns:
            Whether the user was counted.
        """
        if self._pre_period:
            return False
        place = self._place(context)
        if place is None or context.unit is None:
            return False
        return self._once(_EXPOSED, context, place, self._entry(place))

    def active(self, context: Context) -> bool:
        """Note that the user is here today, and count the user if it is for the first time on this day (UTC).

        Call it where you call `expose`, which says the rest: how often those who saw the experiment come back is
        `active-days-per-user`. Needs `more=["activity"]`.

        Returns:
            Whether the user was counted.

        Raises:
            InputError: The family was not asked for.
        """
        if _ACTIVE not in self._counters:
            raise self._not_asked_for("activity")
        place = self._place(context)
        if place is None or context.unit is None:
            return False
        days = f"{self._entry(place)}_d"
        return self._once(_ACTIVE, context, place, f"{days}{int(self._clock() // _DAY)}", days)

    def _entry(self, place: Assigned) -> str:
        """What the marker calls the experiment."""
        return self.experiment if place.assignment == "hash" else f"{self.experiment}_{place.assignment}"

    def _once(
        self, counter: str, context: Context, place: Assigned, entry: str, in_place_of: str | None = None
    ) -> bool:
        """Count a unit that the marker doesn't know for this entry, and mark it."""
        if entry in context.seen:
            return False
        if context.started:
            self._uncounted.add((self.experiment, self.version, "exposed-too-late"), 1)
            return False
        context.mark_seen(entry, in_place_of)
        with self._recent_lock:
            # Requests that a browser sends side by side carry no marker yet.
            key = (entry, context.unit or "")
            known = key in self._recent
            self._recent[key] = None
            self._recent.move_to_end(key)
            if len(self._recent) > _RECENT:
                self._recent.popitem(last=False)
        if not known:
            self._counters[counter].add(self._labels(place), 1)
        return not known

    def assigned(self, context: Context) -> Assigned | None:
        """A request's place in the experiment: as the mesh marked it, else by its bucket and the split.

        Returns:
            Its place; None where neither says one, or the variant is none of this experiment.
        """
        place = self._find(context)
        return place if isinstance(place, Assigned) else None

    def _find(self, context: Context) -> Assigned | str:
        """The place, or the reason why there is none."""
        number = context.replicate
        if not self._pre_period and (mark := context.marks.get(self.layer)) is not None:
            if mark.experiment not in {"", self.experiment}:
                return "other-experiment"
            if mark.variant not in self.variants:
                return "unknown-variant"
            place = Assigned(mark.variant, mark.assignment, number)
        elif self._split is None:
            return "not-marked"
        elif (index := context.buckets.get(self.layer)) is not None:
            place = Assigned(variant_of_bucket(index, self._split), "hash", number)
        else:
            place = Assigned(self._without_unit, "none", number)
        if place.assignment == "hash" and (number is None or number >= self.replicates):
            # Randomised traffic is compared by replicates: without one it would be in the sums, not in their errors.
            return "no-replicate"
        return place

    def _place(self, who: Context | Assigned) -> Assigned | None:
        if isinstance(who, Assigned):
            self._check_place(who)
            return who
        place = self._find(who)
        if isinstance(place, Assigned):
            return place
        self._uncounted.add((self.experiment, self.version, place), 1)
        return None

    def _time(self, name: str, place: Assigned, seconds: float) -> None:
        total, number = self._times[name]
        labels = self._labels(place)
        total.add(labels, seconds)
        number.add(labels, 1)

    def _not_asked_for(self, group: str) -> InputError:
        return InputError(f"experiment {self.experiment}: '{group}' is not counted: ask for it, more=['{group}']")

    def _labels(self, place: Assigned) -> tuple[str, ...]:
        """Values of `LABELS`."""
        number = place.replicate
        # By default means without a bucket: a replicate that is known all the same says nothing about a randomisation.
        outside = number is None or number >= self.replicates or place.assignment == "none"
        return (
            self.experiment,
            place.variant,
            NO_REPLICATE if outside else str(number),
            place.assignment,
            self.version,
        )

    def _create(self, assignments: Iterable[str]) -> None:
        times = [one for pair in self._times.values() for one in pair]
        families: tuple[Family, ...] = (*self._counters.values(), *times)
        for assignment in assignments:
            numbers: list[int | None] = [] if assignment == "none" else list(range(self.replicates))
            if assignment != "hash":
                numbers.append(None)
            for variant in self.variants:
                children = [self._labels(Assigned(variant, assignment, number)) for number in numbers]
                for one in families:
                    for labels in children:
                        one.create(labels)
                self._buckets.create_all(_without_replicate(children[0]), self._bounds)
        for reason in _REASONS:
            self._uncounted.create((self.experiment, self.version, reason))

    def _check(self, split: Mapping[str, int] | None, assignments: Iterable[str], own: Mapping[str, str]) -> None:
        def refuse(words: str) -> InputError:
            return InputError(f"experiment {self.experiment}: {words}")

        if not _LABEL.fullmatch(self.experiment):
            raise refuse("should be lower-case letters, digits and '-', as in the experiment file")
        if not self.variants:
            raise refuse("has no variants: give them as in the experiment file, such as {'control': 'v1'}")
        if not 8 <= self.replicates <= 256:
            raise refuse(f"replicates should be a number from 8 to 256 (got {self.replicates})")
        for name in [self._without_unit, *(split or {})]:
            if name not in self.variants:
                raise refuse(f"no variant '{name}': {did_you_mean(name, self.variants)}")
        if self._pre_period and self._split is None:
            raise refuse("pre_period labels by bucket: give the split that will be in force")
        if self._split is not None and (sum(self._split.values()) != BUCKETS or min(self._split.values()) < 0):
            raise refuse(f"the split sums to {sum(self._split.values())}, must sum to {BUCKETS} basis points")
        for assignment in assignments:
            if assignment not in _ASSIGNMENTS:
                raise refuse(f"no assignment '{assignment}': {did_you_mean(assignment, _ASSIGNMENTS)}")
        for name in self._more:
            if name not in _MORE:
                raise refuse(f"more: nothing is called '{name}': {did_you_mean(name, _MORE)}")
        for name in own:
            if not _NAME.fullmatch(name) or f"_{name}".endswith(_SUFFIXES):
                raise refuse(
                    f"counter '{name}' should be snake_case without a suffix: wishlist becomes ab_wishlist_total"
                )
            taken = _BUILT_IN.keys() | {one for families in _MORE.values() for one in families}
            if name in taken or name.startswith(("page_load_seconds", "dwell_seconds")):
                raise refuse(f"counter '{name}' is built in: give yours another name")

    def _check_place(self, place: Assigned) -> None:
        known, name = self.variants, place.variant
        if name not in known:
            msg = f"experiment {self.experiment}: no variant '{name}': {did_you_mean(name, known)}"
            raise InputError(msg)
        if place.assignment not in _ASSIGNMENTS:
            words = did_you_mean(place.assignment, _ASSIGNMENTS)
            msg = f"experiment {self.experiment}: no assignment '{place.assignment}': {words}"
            raise InputError(msg)
        number = place.replicate
        if (number is None and place.assignment == "hash") or (
            number is not None and not 0 <= number < self.replicates
        ):
            msg = f"experiment {self.experiment}: replicate should be 0 to {self.replicates - 1} (got {number})"
            raise InputError(msg)


def _without_replicate(labels: tuple[str, ...]) -> tuple[str, ...]:
    place = LABELS.index("ab_replicate")
    return labels[:place] + labels[place + 1 :]


def _amount(name: str, amount: float) -> None:
    if not (math.isfinite(amount) and amount >= 0):
        msg = f"{name}: should be a number from 0 on (got {amount}); what takes away is a counter of its own"
        raise InputError(msg)
