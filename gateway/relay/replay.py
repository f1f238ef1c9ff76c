"""The outbox posted again: for a Postgres that came back without its last commits."""

from gateway.domain.token import SHARDS
from gateway.relay.posting import Poster
from gateway.store.charges import Charge
from gateway.store.quota import QuotaStore


async def replay_outbox(quota: QuotaStore, poster: Poster) -> int:
    """Post every event of the outbox; those that Postgres has change nothing. How many there were.

    Raises `StoreUnavailable`; to be repeated then.
    """
    count = 0
    for shard in range(SHARDS):
        after = b"-"
        while kept := await quota.outbox(shard, after):
            await poster.post(
                [Charge(each.request_id, each.account_id, each.event) for each in kept]
            )
            count += len(kept)
            after = kept[-1].entry_id
    return count
