"""Tollhouse: the gateway (data plane), its domain and its stores."""

__version__ = "0.1.0"
