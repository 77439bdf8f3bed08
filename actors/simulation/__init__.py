"""The whole system under seeded faults on a virtual clock: what `bin/runner simulate` runs (docs/reliability.md).

Several processes, each the actors of `actors.system`, share one memory store and venues that outlive them. One seed
decides everything: prices, faults, commands, and which process goes on when several could. After every step the
invariants are checked by models of their own (`actors/simulation/checks/`).
"""
