"""Pure decisions: no I/O, clock, randomness, logging or environment; the standard library only."""
