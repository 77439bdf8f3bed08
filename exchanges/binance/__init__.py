"""Binance USDⓈ-M futures. What is asked and what is answered are pure; `adapter` and its parts do the I/O.

Source: Binance Open Platform, "Derivatives / USDⓈ-M Futures" (change log to 2026-10-23).
"""
