"""How a run trades, as requests say it."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal

from msgspec import UNSET, Meta, UnsetType

from core.run import Direction, MissingStop
from facade.schemas.form import Body


class TradingFields(Body, frozen=True, kw_only=True):
    """Percentages are of the entry price, unleveraged; null take profit or stop loss means none. What is not given
    stays as it is, or as it is by default.
    """

    direction: Direction | UnsetType = UNSET
    leverage: Annotated[int, Meta(ge=1, le=125)] | UnsetType = UNSET
    margin_mode: Literal["isolated", "cross"] | UnsetType = UNSET
    position_mode: Literal["one_way", "hedge"] | UnsetType = UNSET
    order_size_pct: Decimal | UnsetType = UNSET
    take_profit_pct: Decimal | UnsetType | None = UNSET
    stop_loss_pct: Decimal | UnsetType | None = UNSET
    trailing_callback_pct: Decimal | UnsetType | None = UNSET
    """How far behind the best price a trailing stop follows: 0.1 to 10, in steps of 0.1; none by default."""
    trailing_activation_pct: Decimal | UnsetType = UNSET
    """How far beyond the entry price it begins to follow, 0 to 99; 0: from the entry on."""
    missing_stop: MissingStop | UnsetType = UNSET
    """Of a live position without its stop: `repair` (tried for 10 s, then closed) or `close` (closed at once)."""

    @property
    def says_anything(self) -> bool:
        return any(getattr(self, name) is not UNSET for name in TradingFields.__struct_fields__)
