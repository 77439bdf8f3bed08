"""What the Bybit face says when it does not do something: codes and texts as the venue documents them."""

from __future__ import annotations

from exchanges.simulator.model import Reason

SYMBOL = "params error: symbol invalid"
NO_POSITION = "can not set tp/sl/ts for zero position"
POSITION_IDX = "position idx not match position mode"
NOT_FOUND = (110001, "Order does not exist")
NOT_MODIFIED = (34040, "not modified")
OUTSIDE_WINDOW = (10002, "The request time exceeds the time window range.")
UNKNOWN_KEY = (
    10003,
    (
        "API key is invalid. Check whether the key and domain are matched, there are 4 env: mainnet, testnet, "
        "mainnet-demo, testnet-demo"
    ),
)
WRONG_SIGNATURE = (10004, "Error sign, please check your signature generation algorithm.")
NO_PERMISSION = (10005, "Permission denied, please check your API key permissions.")
TOO_MANY_VISITS = (10006, "Too many visits. Exceeded the API Rate Limit.")
TOO_MANY_CONDITIONALS = (110009, "The number of stop orders exceeds the maximum allowable limit")
PARTIAL_TOO_BIG = (
    110058,
    "You can't set take profit and stop loss due to insufficient size of remaining position size.",
)
TOO_MANY_PARTIAL_STOPS = (110061, "Not allowed to have more than 20 TP/SLs under Partial tpSlMode")
DUPLICATE_ID = (110072, "OrderLinkedID is duplicate")
MODE_AS_BEFORE = (110025, "Position mode has not been modified.")
MARGIN_AS_BEFORE = (110026, "Cross/isolated margin mode has not been modified.")
LEVERAGE_AS_BEFORE = (110043, "Set leverage has not been modified.")
MODE_HAS_POSITION = (110024, "You have an existing position, so the position mode cannot be switched.")
MODE_HAS_ORDERS = (110028, "You have existing open orders, so the position mode cannot be switched.")
MARGIN_MODE_FAILED = (3400045, "Set margin mode failed")
ACCESS_TOO_FREQUENT = b"access too frequent"

_REFUSALS: dict[Reason, tuple[int, str]] = {
    Reason.SYMBOL: (10001, SYMBOL),
    Reason.PRICE_TICK: (10001, "params error: Price invalid"),
    Reason.PRICE_MIN: (110003, "Order price exceeds the allowable range ."),
    Reason.PRICE_MAX: (110003, "Order price exceeds the allowable range ."),
    Reason.PRICE_BAND_UP: (
        30208,
        "Failed to submit order(s). The order price is higher than the maximum buying price",
    ),
    Reason.PRICE_BAND_DOWN: (
        30209,
        "Failed to submit order(s). The order price is lower than the minimum selling price.",
    ),
    Reason.QUANTITY_STEP: (10001, "params error: Qty invalid"),
    Reason.QUANTITY_MIN: (10001, "The number of contracts exceeds minimum limit allowed"),
    Reason.QUANTITY_MAX: (10001, "The number of contracts exceeds maximum limit allowed: too large"),
    Reason.NOTIONAL_MIN: (110094, "Order notional value below the lower limit"),
    Reason.MARGIN: (110007, "Available balance is insufficient"),
    Reason.REDUCE_ONLY: (110017, "current position is zero, cannot fix reduce-only order qty"),
    Reason.POSITION_SIDE: (10001, POSITION_IDX),
    Reason.DUPLICATE_ID: DUPLICATE_ID,
    Reason.UNKNOWN_ORDER: NOT_FOUND,
    Reason.ORDER_ENDED: NOT_FOUND,
    Reason.TOO_MANY_ORDERS: (110020, "Not allowed to have more than 500 active orders."),
    Reason.TOO_MANY_CONDITIONALS: TOO_MANY_CONDITIONALS,
    Reason.NOTHING_OPEN: (10001, NO_POSITION),
    Reason.LEVERAGE: (110013, "Cannot set leverage due to risk limit level."),
    Reason.LEVERAGE_CUT: (110011, "Liquidation will be triggered immediately by this adjustment"),
    Reason.POSITION_LIMIT: (
        110090,
        (
            "Order placement failed as your position may exceed the max limit. Please adjust your leverage to "
            "increase the max. position limit"
        ),
    ),
}


class VenueError(Exception):
    """An answer that is no success. `status`: most are HTTP 200, retCode decides."""

    def __init__(self, code: int, message: str, *, status: int = 200, result: object = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status
        self.result = {} if result is None else result


def refusal(reason: Reason, detail: str) -> VenueError:
    """A reason of the engine's in the venue's words; one it has no code for is a wrong parameter."""
    code, message = _REFUSALS.get(reason, (10001, f"params error: {reason} {detail}".rstrip()))
    return VenueError(code, message)


def wrong(name: str) -> VenueError:
    return VenueError(10001, f"params error: {name} invalid")
