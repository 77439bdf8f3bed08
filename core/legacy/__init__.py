"""Strategies and bots of older deployments: which tables they stood in, and what of a row can be taken over."""
