"""Accounts at venues beyond this process: their clocks, settings, protection and reconciliation.

Parts of a Connection, in its turns; nothing here is used for a paper account.
"""
