"""The fast path of the replay: the strategy once over the array, then only the slots that can change anything.

Ticks that find nothing to do are counted by stretches; entries, exits, stops, targets, liquidations, funding and
gates pass through the same `core` and paper functions as on the actor path, and a property test holds both equal.
What it does not serve it says (`Unserved`), and the actors replay it.
"""
