"""Bybit v5, USDT-margined perpetuals in a unified account.

`adapter.py` is the account behind the interface of every venue. It asks through `calls.py`: sign (`signing.py`), send,
conclude (`codes.py`, `usage.py`). What is asked stands in `requests.py` and, for market data, `public.py`; what comes
back in `wire.py` as documented and `parse.py` as known; executions in `fills.py`. `stream.py` keeps the private
stream, `private.py` says what its messages mean.
"""
