"""The admin plane: the token API, users and their sessions, and the console.

Imports `gateway.domain`, `gateway.store`, `gateway.config` and `gateway.log`; nothing imports it.
"""
