"""How many nodes a fleet of applications needs, with and without bursting, and at which risk."""
