"""Calls in one dialect to an upstream of another, by way of one neutral form. Pure.

`conversation` is what is asked and `answers` what is answered, whole or as a stream of deltas; each codec reads and
writes both in one wire form. `translators` puts two codecs together. Where caller and upstream speak the same form
nothing here is used: bytes are relayed as they are.
"""
