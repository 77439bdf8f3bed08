"""Recorded days: what a live process took in, in the order in which it did, and the replay of it.

A recording holds every input at the edges of the actors (store calls, venue and feed answers, commands, clock
readings) and the order in which actors handled messages and the store committed. `recorder.py` attaches it to a
service, `day.py` feeds it back through the same actors. docs/recording.md says what is inside and what it costs.
"""
