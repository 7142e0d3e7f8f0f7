"""What judges a canary: absolute limits with statistical certainty, and (in `judge`) the rules made of them."""

from __future__ import annotations

from abkit.canary.limits import Dispersion, LimitCheck, SlowShare, beyond, dispersion, slow_share

__all__ = ["Dispersion", "LimitCheck", "SlowShare", "beyond", "dispersion", "slow_share"]
