"""squeezeflow: trades the moment when spot and perpetual order flow, having parted, come together again.

One file a phase, each a pure function of `Flow`: context → divergence → reset → score → exit. `reading.py` puts them
together, `strategy.py` makes a signal of it. What an entry needs, how much is put on it and why it is left is in
docs/strategies.md.
"""

from __future__ import annotations

from core.strategies.squeezeflow.strategy import SqueezeFlow

__all__ = ["SqueezeFlow"]
