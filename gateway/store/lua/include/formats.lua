-- The strings that the quota store keeps, as `struct` formats. gateway/store/books.py reads the
-- same ones.
--
-- Every number is a double: exact for integers up to 2^53, and amounts stay below 2^52.
--
-- EPOCH    q:{sNNN}:e           run id (40 characters), pause until (ms), catalog generation, opened
--                               at (ms), which with the run id names this opening
-- BOOK     q:{sNNN}:b:<scope>   granted (UNCAPPED where there is no grant), gver, used, pending,
--                               reserved, live, version, and the run id under which Postgres' row
--                               was merged in last
-- HEAD     q:{sNNN}:h:<scope>:<window>  total counted, oldest bucket counted, current bucket, sum
--                               in the current one, the tag of the run of the store that made it
-- BURST    the same key, for a limit with a burst: level, when the head was made (ms), when the
--                               level was worked out (ms), how much was ever given back, tag, and
--                               what was refilled of the next unit (1/60000)
-- w        q:{sNNN}:w:<scope>   hash "<window>|<bucket>" -> sum of a closed bucket
--                               (oldest <= bucket < current)
-- RECORD   q:{sNNN}:r:<account> request id -> amount, tokens, start (ms), its scopes
--                               ("t5 m1.2 g1.3 a1"), number of windows it was counted in, then
--                               the BUCKET of each (in one with a burst: the level after the call
--                               and what was given back until then, added; -1 - tag where the
--                               limit is in the shadow and would have refused the call, which is not
--                               in a head of this tag then); behind them the worker's opaque detail.
--                               One that ANNOUNCE made has no BUCKET: the call counts where its
--                               start lies.
-- SETTLED  q:{sNNN}:p:<account> request id -> amount, its scopes; behind them the whole event
-- x        q:{sNNN}:x           "<account>|<request id>" -> when (ms) the reaper (id in r) or the
--                               sweeper (id in p) may take it. Whatever is in r or p is in x; an id
--                               that is in x alone was voided before its RESERVE came, if it comes
-- o        q:{sNNN}:o           stream of settled events, where an outbox is kept
--
-- Windows: a ring of `count` closed buckets and the running one. Bucket b counts whole until it no
-- longer overlaps the window: it leaves when the clock reaches (b + count + 1) * bucket_ms. So no
-- real window ever holds more than its limit, and a refusal comes at most one bucket early. A
-- calendar window is one bucket, named by its start (ms). Time never goes back in a window: the
-- current bucket only grows, whatever the clock says.
--
-- A limit with a burst is the generic cell rate algorithm: a level, which a call raises by its cost,
-- never above the burst, and which sinks by `limit` units a minute. It is the theoretical arrival
-- time in other words (that of an empty one is `now`), and stays whole: no rounding, no drift.
--
-- WINDOW   how every script is told of a window: scope (0..3), metric (1 requests, 2 tokens, 3 usd,
--          SHADOW more where its limit only tells what it would have refused),
--          kind (0 ring, 1 calendar, 2 with a burst), number of its w among KEYS, id, then
--          ring: bucket (ms), buckets · calendar: start (ms), end (ms) · burst: minute (ms), burst;
--          limit
--
-- A window's head counts only under the run of the store whose tag it has. Without one, LOAD makes
-- it anew of the ledger and the records.
local EPOCH = '<c40ddd'
local BOOK = '<dddddddc40'
local HEAD = '<ddddd'
local BURST = '<dddddd'
local WINDOW = '<BBBBBc0ddd'
local RECORD = '<dddBc0B'
local BUCKET = '<d'
local SETTLED = '<dBc0'
local SHADOW = 3
local UNCAPPED = 9007199254740992 -- 2^53: no grant reaches it
local read, write = struct.unpack, struct.pack
local function tag_of(run_id) return tonumber(string.sub(run_id, 1, 12), 16) end
local NOT_LOADED = string.rep(' ', 40) -- in the place of BOOK's run id: RESERVE asks for a LOAD

-- What tells an opening of a shard from every other: run id and when it was opened, of an EPOCH.
local function opening_of(epoch) return string.sub(epoch, 1, 40) .. string.sub(epoch, 57, 64) end
