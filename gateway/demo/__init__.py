"""The demo upstream: what a first run talks to where no provider is configured.

A process of its own (`python -m gateway.demo`) that speaks OpenAI's dialect and says in every
answer that no model is behind it and how to connect one.
"""
