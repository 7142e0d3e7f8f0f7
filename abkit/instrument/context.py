"""What a service knows about the request at hand: the unit, its buckets, the variant it was routed to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from abkit.errors import InputError

__all__ = ["CONTEXT_KEY", "Context", "Mark", "current", "outgoing"]

CONTEXT_KEY = "abkit.context"
"""Where the middleware puts the context: in the WSGI environ, in the ASGI scope."""


@dataclass(frozen=True, slots=True)
class Mark:
    """What the mesh wrote on a request for one layer.

    Attributes:
        variant: The variant it was routed to.
        assignment: How it came to it: `hash`, `rule`, `forced` or `none`.
        experiment: The experiment whose variant it is, where several share the layer; empty where the mesh doesn't say.
    """

    variant: str
    assignment: str
    experiment: str = ""


class Context:
    """One request's place in the experiments; belongs to the thread or task that handles the request.

    Attributes:
        unit: The unit's id; None where the request carries none.
        minted: Whether the id was made for this request, and its cookie is on its way to the client.
        replicate: The unit's hash replicate; None without a unit.
        buckets: Layer → bucket, 0 … 9999.
        marks: Layer → what the mesh wrote; empty at the edge.
        headers: The headers that carry all this to the next service.
    """

    __slots__ = ("_new", "_seen", "_started", "buckets", "headers", "marks", "minted", "replicate", "unit")

    def __init__(
        self,
        *,
        unit: str | None,
        minted: bool,
        replicate: int | None,
        buckets: Mapping[str, int],
        marks: Mapping[str, Mark],
        headers: Mapping[str, str],
        seen: Iterable[str],
    ) -> None:
        self.unit = unit
        self.minted = minted
        self.replicate = replicate
        self.buckets = buckets
        self.marks = marks
        self.headers = headers
        self._seen = list(seen)
        self._new = False
        self._started = False

    @property
    def seen(self) -> tuple[str, ...]:
        """Experiments that the unit was exposed to, oldest first, this request's included."""
        return tuple(self._seen)

    @property
    def seen_changed(self) -> bool:
        """Whether this request exposed the unit to an experiment for the first time."""
        return self._new

    @property
    def started(self) -> bool:
        """Whether the response has begun: cookies can't be set any more."""
        return self._started

    def start(self) -> None:
        """Note that the response begins. The middleware calls it."""
        self._started = True

    def mark_seen(self, entry: str, in_place_of: str | None = None) -> bool:
        """Remember an exposure, or a day on which the unit came, in the marker cookie.

        Args:
            entry: What is remembered.
            in_place_of: Entries that begin with this are forgotten.

        Returns:
            Whether it is the unit's first, as far as the marker knows.
        """
        if entry in self._seen:
            return False
        if in_place_of is not None:
            self._seen = [one for one in self._seen if not one.startswith(in_place_of)]
        self._seen.append(entry)
        self._new = True
        return True


def current(carrier: Mapping[str, object]) -> Context:
    """The context of a request.

    Args:
        carrier: The WSGI environ or the ASGI scope, as the application got it.

    Raises:
        InputError: No middleware of abkit stands before the application.
    """
    context = carrier.get(CONTEXT_KEY)
    if isinstance(context, Context):
        return context
    msg = "the request has no abkit context: wrap the application in abkit.instrument.WSGIMiddleware or ASGIMiddleware"
    raise InputError(msg)


def outgoing(carrier: Context | Mapping[str, object], headers: Mapping[str, str] | None = None) -> dict[str, str]:
    """Headers for a call to the next service: yours, and those that carry the unit, its buckets and its variants.

    Args:
        carrier: The context, or the WSGI environ or ASGI scope that has it.
        headers: Other headers of the call; one that abkit sends too is replaced, in whatever case it is written.

    Raises:
        InputError: The carrier has no context.
    """
    context = carrier if isinstance(carrier, Context) else current(carrier)
    kept = {name: value for name, value in (headers or {}).items() if name.lower() not in context.headers}
    return kept | dict(context.headers)
