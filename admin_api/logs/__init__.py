"""The log of calls, what was used, and what was refused."""
