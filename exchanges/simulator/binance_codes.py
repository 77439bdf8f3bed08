"""Binance's refusals: HTTP status, code and text (docs: derivatives/usds-margined-futures/error-code)."""

from __future__ import annotations

from exchanges.simulator.model import Reason

TOO_MANY_REQUESTS = "Too many requests; current limit of IP(127.0.0.1) is {limit} requests per minute."
BANNED = (
    "Way too many requests; IP(127.0.0.1) banned until {until}. Please use the websocket for live updates."
)
TOO_MANY_ORDERS = "Too many new orders; current limit is {limit} orders per {span}."
AHEAD = "Timestamp for this request was 1000ms ahead of the server's time."
OUTSIDE_WINDOW = "Timestamp for this request is outside of the recvWindow."


class VenueError(Exception):
    """An answer that is an error: HTTP status, venue code, text."""

    def __init__(self, code: int, message: str, status: int = 400) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status


def missing(name: str) -> VenueError:
    return VenueError(-1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed.")


def invalid(name: str) -> VenueError:
    return VenueError(-1130, f"Data sent for parameter '{name}' is not valid.")


def refusal(reason: Reason, detail: str = "") -> VenueError:
    """The engine's reason in Binance's words."""
    code, message = _WORDS[reason]
    return VenueError(code, message.format(detail=detail))


_WORDS: dict[Reason, tuple[int, str]] = {
    Reason.SYMBOL: (-1121, "Invalid symbol."),
    Reason.PRICE_TICK: (-4014, "Price not increased by tick size."),
    Reason.PRICE_MIN: (-4013, "Price less than min price."),
    Reason.PRICE_MAX: (-4002, "Price greater than max price."),
    Reason.PRICE_BAND_UP: (-4016, "Price is higher than mark price multiplier cap."),
    Reason.PRICE_BAND_DOWN: (-4024, "Price is lower than mark price multiplier floor."),
    Reason.QUANTITY_STEP: (-1111, "Precision is over the maximum defined for this asset."),
    Reason.QUANTITY_MIN: (-4004, "Quantity less than min quantity."),
    Reason.QUANTITY_MAX: (-4005, "Quantity greater than max quantity."),
    Reason.NOTIONAL_MIN: (
        -4164,
        "Order's notional must be no smaller than {detail} (unless you choose reduce only)",
    ),
    Reason.MARGIN: (-2019, "Margin is insufficient."),
    Reason.REDUCE_ONLY: (-2022, "ReduceOnly Order is rejected."),
    Reason.POSITION_SIDE: (-4061, "Order's position side does not match user's setting."),
    Reason.REDUCE_ONLY_IN_HEDGE: (-1106, "Parameter 'reduceonly' sent when not required."),
    Reason.DUPLICATE_ID: (-4116, "clientOrderId is duplicated"),
    Reason.UNKNOWN_ORDER: (-2013, "Order does not exist."),
    Reason.ORDER_ENDED: (-2011, "Unknown order sent."),
    Reason.TOO_MANY_ORDERS: (-2025, "Reach max open order limit."),
    Reason.TOO_MANY_CONDITIONALS: (-4045, "Reach max stop order limit."),
    Reason.WOULD_TRIGGER: (-2021, "Order would immediately trigger."),
    Reason.ACTIVATION_PRICE: (-4135, "Invalid activation price"),
    Reason.POST_ONLY: (
        -5022,
        "Due to the order could not be executed as maker, the Post Only order will be rejected.",
    ),
    Reason.FILL_OR_KILL: (
        -5021,
        "Due to the order could not be filled immediately, the FOK order has been rejected.",
    ),
    Reason.NOTHING_OPEN: (-2022, "ReduceOnly Order is rejected."),
    Reason.LEVERAGE: (-4028, "Leverage {detail} is not valid"),
    Reason.LEVERAGE_CUT: (
        -4161,
        "Leverage reduction is not supported in Isolated Margin Mode with open positions",
    ),
    Reason.POSITION_LIMIT: (-2027, "Exceeded the maximum allowable position at current leverage."),
    Reason.ALREADY_SO: (-4046, "No need to change margin type."),
    Reason.HAS_ORDERS: (-4047, "Margin type cannot be changed if there exists open orders."),
    Reason.HAS_POSITION: (-4048, "Margin type cannot be changed if there exists position."),
}
POSITION_MODE_WORDS: dict[Reason, tuple[int, str]] = {
    Reason.ALREADY_SO: (-4059, "No need to change position side."),
    Reason.HAS_ORDERS: (-4067, "Position side cannot be changed if there exists open orders."),
    Reason.HAS_POSITION: (-4068, "Position side cannot be changed if there exists position."),
}
