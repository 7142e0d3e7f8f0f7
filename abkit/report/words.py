"""Verdicts, roles and outcomes as words, symbols and tones: meaning is never carried by colour alone."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from abkit.evidence import Interval, LimitResult, MetricResult, StatusCode, Usage, Verdict
from abkit.spec import Direction, Strategy

__all__ = [
    "DIRECTION_WORDS",
    "ROLE_WORDS",
    "STRATEGY_WORDS",
    "Outcome",
    "Tone",
    "VerdictWords",
    "deciding_interval",
    "limit_outcome",
    "metric_outcome",
    "verdict_words",
]


class Tone(StrEnum):
    """What a thing means for the reader; drawn as blue, orange, grey and purple, always beside a symbol and a word."""

    GOOD = "good"
    BAD = "bad"
    WAIT = "wait"
    BROKEN = "broken"


@dataclass(frozen=True, slots=True)
class Outcome:
    """One conclusion.

    Attributes:
        symbol: One character, one cell wide in a terminal.
        word: The conclusion.
        tone: What it means for the reader.
    """

    symbol: str
    word: str
    tone: Tone

    def __str__(self) -> str:
        return f"{self.symbol} {self.word}"


@dataclass(frozen=True, slots=True)
class VerdictWords:
    """How a verdict is said.

    Attributes:
        outcome: Symbol, word and tone.
        advice: What to do now, in one sentence.
        rank: Place in a triage list; what burns comes first.
        group: Heading in a triage list.
    """

    outcome: Outcome
    advice: str
    rank: int
    group: str


_ATTENTION, _DECIDE, _RUNNING = "Needs attention", "Ready to decide", "Running"

_VERDICTS: dict[Verdict, VerdictWords] = {
    Verdict.ROLLBACK: VerdictWords(
        Outcome("↶", "Roll back", Tone.BAD), "Take the new version out of the traffic.", 0, _ATTENTION
    ),
    Verdict.INVALID: VerdictWords(
        Outcome("!", "Invalid", Tone.BROKEN), "Don't read the numbers: mend the cause first.", 1, _ATTENTION
    ),
    Verdict.DO_NOT_SHIP: VerdictWords(Outcome("✗", "Do not ship", Tone.BAD), "Keep the control.", 2, _ATTENTION),
    Verdict.PAUSE: VerdictWords(
        Outcome("‖", "Pause", Tone.BAD), "Hold the traffic where it is and look at the cause.", 3, _ATTENTION
    ),
    Verdict.NO_DATA: VerdictWords(
        Outcome("∅", "No data", Tone.BROKEN), "Check that both versions get traffic and are scraped.", 4, _ATTENTION
    ),
    Verdict.PROMOTE: VerdictWords(
        Outcome("▲", "Promote", Tone.GOOD), "Make the new version the stable one.", 5, _DECIDE
    ),
    Verdict.SHIP: VerdictWords(Outcome("✓", "Ship", Tone.GOOD), "Give the treatment all of the traffic.", 6, _DECIDE),
    Verdict.INCONCLUSIVE: VerdictWords(
        Outcome("≈", "Inconclusive", Tone.WAIT), "The planned end is reached without a clear effect.", 7, _DECIDE
    ),
    Verdict.DESCRIPTIVE: VerdictWords(
        Outcome("○", "Descriptive", Tone.WAIT), "The numbers describe; they prove no effect.", 8, _RUNNING
    ),
    Verdict.KEEP_RUNNING: VerdictWords(
        Outcome("◔", "Keep running", Tone.WAIT), "Nothing to do: more data is needed.", 9, _RUNNING
    ),
    Verdict.CONTINUE: VerdictWords(
        Outcome("→", "Continue", Tone.GOOD), "This stage is healthy: go on to the next.", 10, _RUNNING
    ),
}

ROLE_WORDS: dict[Usage, str] = {
    Usage.PRIMARY: "Primary",
    Usage.GUARDRAIL: "Guardrail",
    Usage.SECONDARY: "Secondary",
    Usage.LIMIT: "Limit",
}
"""In the order in which a scorecard lists them."""

DIRECTION_WORDS: dict[Direction, str] = {
    Direction.INCREASE: "higher is better",
    Direction.DECREASE: "lower is better",
    Direction.NONE: "no better direction",
}

STRATEGY_WORDS: dict[Strategy, str] = {
    Strategy.AB: "A/B test",
    Strategy.CANARY: "Canary",
    Strategy.BLUE_GREEN: "Blue-green",
    Strategy.MIRROR: "Mirror",
}

_WORSE = Outcome("✗", "worse", Tone.BAD)
_MISSING = {StatusCode.NO_DATA, StatusCode.UNDEFINED, StatusCode.TOO_FEW}


def verdict_words(verdict: Verdict) -> VerdictWords:
    """How a verdict is said.

    >>> str(verdict_words(Verdict.SHIP).outcome)
    '✓ Ship'
    """
    return _VERDICTS[verdict]


def deciding_interval(result: MetricResult, looks: str) -> Interval | None:
    """The lift's interval that the verdict rests on: of looks at any time or at planned ones, else the fixed one."""
    if looks != "fixed" and result.sequential is not None:
        return result.sequential.lift_ci
    return result.lift_ci


def metric_outcome(result: MetricResult, confidence: float, looks: str) -> Outcome:
    """What a metric's row says, from the numbers that the statistics gave and by the rules of the verdict.

    Args:
        result: The row.
        confidence: The evaluation's, such as 0.95.
        looks: The evaluation's, such as `always-valid`.
    """
    code = result.status.code
    if code is not StatusCode.OK:
        return Outcome("∅" if code in _MISSING else "○", str(code), Tone.WAIT)
    certain = result.certain(1 - confidence)
    if result.margin is not None:
        if result.within_margin:
            return Outcome("✓", "within margin", Tone.GOOD)
        return Outcome("◔", "not yet shown safe", Tone.WAIT) if certain is not False else _WORSE
    if certain is not None:
        return Outcome("✓", "better", Tone.GOOD) if certain else _WORSE
    if result.better is None and _excludes_zero(deciding_interval(result, looks)):
        return Outcome("≠", "changed", Tone.WAIT)
    return Outcome("≈", "no clear change", Tone.WAIT)


def limit_outcome(result: LimitResult) -> Outcome:
    """What an absolute limit's row says."""
    if result.status.code is not StatusCode.OK or result.value is None:
        return Outcome("∅", str(result.status.code), Tone.WAIT)
    if result.beyond:
        return Outcome("✗", "beyond", Tone.BAD)
    return Outcome("✓", "within", Tone.GOOD) if result.within else Outcome("≈", "not beyond", Tone.WAIT)


def _excludes_zero(bounds: Interval | None) -> bool:
    low, high = bounds or (None, None)
    return (low is not None and low > 0) or (high is not None and high < 0)
