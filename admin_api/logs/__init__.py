"""The log of calls, and what was used."""
