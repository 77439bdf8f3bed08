"""What long work does, in a process of its own: no actor, no clock, no server."""
