"""Models that know the invariants and nothing of how the program keeps them; fed by commits and by the venue.

None of them asks the rules of `core` what is right: what they state, they work out by themselves.
"""
