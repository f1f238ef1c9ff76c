"""The state of the installation: stores, running calls, upstreams. For administrators."""
