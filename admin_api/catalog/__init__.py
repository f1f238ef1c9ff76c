"""The catalog: upstreams, models and their prices, groups."""
