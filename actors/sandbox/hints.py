"""What an author of Python may do about an error: the next thing to try, where the error alone does not say."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from types import FrameType, FunctionType, ModuleType
from typing import Final

from actors.sandbox.allowed import shown

NOT_HERE: Final = "A strategy computes: it has no files, no network, no threads and no other processes."
NO_PANDAS: Final = "pandas is not here; candles are numpy columns already: context.candles.close."
_INDICATORS: Final = "Indicators are TA-Lib's: import talib, then talib.RSI(context.candles.close, 14)[-1]."
_COLUMN: Final = "A column holds a number for every candle; [-1] is the newest."
_INSTEAD: Final = {
    **dict.fromkeys(("pandas", "polars"), NO_PANDAS),
    **dict.fromkeys(("ta", "pandas_ta", "tulipy", "finta", "TA", "ta_lib"), _INDICATORS),
}
MAX_NAMES: Final = 2_000
MAX_NAME: Final = 60
_ELSEWHERE: Final = re.compile(r"^\s*(?:function|const|let|var|interface|type|export)\s|=>|[{};]\s*$")


def hint_for(error: BaseException, frame: FrameType | None) -> str | None:
    """`frame`: the author's, in which it happened."""
    match error:
        case SyntaxError():
            return _syntax(error.text)
        case PermissionError() | OSError():
            return NOT_HERE
        case ImportError():
            return _missing(str(error.name).partition(".")[0])
        case NameError() if error.name in ("pd", "pandas"):
            return NO_PANDAS
        case NameError() if error.name in ("np", "ta", "talib"):
            return f"Import it first; modules there are: {shown()}."
        case NameError():
            return _meant(error.name, _names(frame))
        case AttributeError() if isinstance(error.obj, ModuleType):
            return _meant(error.name, vars(error.obj))
        case AttributeError() if type(error.obj).__module__.startswith("actors.sandbox"):
            return (
                "A context has candles, extra, parameters, position, price, slot, symbol and timeframe; "
                "WINDOWS says what extra has."
            )
        case KeyError():
            return "Where a key may be missing, .get(key, default) answers the default."
        case IndexError():
            return (
                "A window holds as many candles as LOOKBACK says, 250 where it says nothing, 2,000 at most; "
                "MIN_CANDLES = n asks for n of them at least."
            )
        case ValueError() if "truth value of an array" in str(error):
            return _COLUMN
        case TypeError() if "expected numpy.ndarray" in str(error):
            return "TA-Lib takes whole columns: context.candles.close, not a list."
    return None


def no_entry(module: Mapping[str, object]) -> str | None:
    """For code without a function that answers: the one it may have been."""
    made = [name for name, value in module.items() if _is_own(value)]
    return f"Nobody calls {made[-1]}; is it the one to be called strategy?" if made else None


def _is_own(value: object) -> bool:
    return isinstance(value, FunctionType) and value.__module__ == "strategy"


def _syntax(text: str | None) -> str | None:
    if text is not None and _ELSEWHERE.search(text.rstrip("\n")):
        return "If this is JavaScript or TypeScript, say so by its type."
    return None


def _missing(package: str) -> str | None:
    return _INSTEAD.get(package, NOT_HERE)


def _names(frame: FrameType | None) -> Iterable[str]:
    return () if frame is None else {**frame.f_globals, **frame.f_locals}


def _meant(name: str | None, there: Iterable[str]) -> str | None:
    """The name that was meant, by its likeness."""
    names = [each for each in list(there)[:MAX_NAMES] if len(each) <= MAX_NAME and not each.startswith("_")]
    close = get_close_matches((name or "")[:MAX_NAME], names, n=1, cutoff=0.6)
    return f"Is {close[0]} meant?" if close else None
