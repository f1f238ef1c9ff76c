"""The data plane over HTTP: reading calls, answering refusals, forwarding, settling."""
