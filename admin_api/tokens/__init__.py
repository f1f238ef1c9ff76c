"""Tokens: made, listed, changed, their secrets."""
