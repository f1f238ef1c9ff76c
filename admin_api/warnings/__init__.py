"""Warnings: what is told to people before something stops."""
