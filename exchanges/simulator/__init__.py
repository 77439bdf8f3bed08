"""Stand-ins for the venues: a program of its own that shares no code with the adapters it judges."""

from __future__ import annotations
