"""The console: the page where people manage keys. `web` is what browsers get, `routes.py` who gives it."""
