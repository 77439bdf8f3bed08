"""Bybit v5, USDT-margined perpetuals in a unified account."""
