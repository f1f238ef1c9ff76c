"""Wire families: where each says what was used, what of it is believed, and how its streams are ended early.

How bodies are read is in `gateway/domain/*_ask.py`, how refusals are told in `gateway/relay/envelopes.py`.
"""
