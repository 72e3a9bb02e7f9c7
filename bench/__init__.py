"""The speed goals, measured: `make bench`. Each module prints its figures beside their targets."""
