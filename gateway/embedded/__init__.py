"""PostgreSQL and Valkey as children of this process, for one machine without servers of its own.

It knows where the programs of the optional packages lie, how to start, watch and stop them, and
where their data stays. It must not know what is stored in them: it imports nothing but the standard
library and no other part of the gateway. An explicit `postgres.dsn` or `redis.url` is the caller's
business and means that nothing here runs.

Everything is synchronous and belongs to the main thread: see `gateway.embedded.server`.
"""
