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
--                               in the current one
-- w        q:{sNNN}:w:<scope>   hash "<window>|<bucket>" -> sum of a closed bucket
--                               (oldest <= bucket < current)
-- RECORD   q:{sNNN}:r:<account> request id -> amount, tokens, start (ms), its scopes
--                               ("t5 m1.2 g1.3 a1"), number of windows it was counted in, then
--                               the BUCKET of each; behind them the worker's opaque detail
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
local EPOCH = '<c40ddd'
local BOOK = '<dddddddc40'
local HEAD = '<dddd'
local RECORD = '<dddBc0B'
local BUCKET = '<d'
local SETTLED = '<dBc0'
local UNCAPPED = 9007199254740992 -- 2^53: no grant reaches it
local read, write = struct.unpack, struct.pack
