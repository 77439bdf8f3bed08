"""The price a venue values positions at, and when it said so."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

import msgspec


class Mark(msgspec.Struct, frozen=True, kw_only=True):
    price: Decimal
    at: datetime
