-- Tollhouse: every table, column and index, as a new database gets them. migrations/ brings an earlier one here.
--
-- Runs once on an empty database, in one transaction under an advisory lock (gateway/store/postgres.py).
-- Money is BIGINT nano-dollars (_nusd is left out of column names: every amount here is one).
-- A "book" is the four columns granted, gver, used, version:
--   granted  sum of grant_entry.delta; NULL = uncapped
--   gver     rises with each change of granted, so that counters in Valkey merge without order
--   used     sum of ledger.amount; raised only by the posting transaction, never lowered
--   version  rises with each change that the next request must obey (status, limits, network, models, …)
-- Postgres 15 and later.

CREATE TABLE schema_version (
  version     integer     PRIMARY KEY,
  applied_at  timestamptz NOT NULL DEFAULT now()
);
INSERT INTO schema_version (version) SELECT generate_series(1, 5);

-- One row: what the catalog's generation is. Raised with every edit of a group, model, upstream or price.
CREATE TABLE catalog (
  one_row     boolean     PRIMARY KEY DEFAULT true CHECK (one_row),
  generation  bigint      NOT NULL DEFAULT 1
);
INSERT INTO catalog DEFAULT VALUES;

-- Groups, models and upstreams. Those of the configuration file are rows with source 'file' and an empty
-- spec, so that an id exists for each name; those made over the API live in spec.
CREATE TABLE "group" (
  id          bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  name        text        NOT NULL UNIQUE CHECK (name <> ''),
  source      text        NOT NULL DEFAULT 'file' CHECK (source IN ('file', 'api')),
  spec        jsonb       NOT NULL DEFAULT '{}',
  open        boolean     NOT NULL DEFAULT false,       -- every user may choose it
  subscription_granted bigint CHECK (subscription_granted < 4503599627370496),  -- of a new subscription; NULL: uncapped
  version     bigint      NOT NULL DEFAULT 1,
  created_at  timestamptz NOT NULL DEFAULT now(),
  deleted_at  timestamptz                               -- soft: the ledger keeps its id, under a name that says so
);
INSERT INTO "group" (name) VALUES ('default');

-- Every price that was ever set over the API, by the number that ledger rows name. The file's price is 1, the price
-- book's numbers lie between.
CREATE TABLE price (
  version     integer     GENERATED ALWAYS AS IDENTITY (START WITH 1000000000) PRIMARY KEY,
  model       text        NOT NULL,
  spec        jsonb       NOT NULL,
  created_at  timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX price_model ON price (model, version DESC);

CREATE TABLE model (
  name        text        PRIMARY KEY CHECK (name <> ''),
  spec        jsonb       NOT NULL,
  price_version integer   REFERENCES price,             -- NULL: it has no price of its own
  version     bigint      NOT NULL DEFAULT 1,
  created_at  timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE upstream (
  name        text        PRIMARY KEY CHECK (name <> ''),
  spec        jsonb       NOT NULL,
  sealed_keys bytea,                                    -- AES-256-GCM of all its keys, never shown again
  key_hints   text[]      NOT NULL DEFAULT '{}',        -- '…wxyz'
  version     bigint      NOT NULL DEFAULT 1,
  created_at  timestamptz NOT NULL DEFAULT now()
);

-- A wallet. One or many users belong to it.
CREATE TABLE account (
  id          bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  name        text        NOT NULL,
  status      smallint    NOT NULL DEFAULT 1 CHECK (status IN (1, 2)),  -- 1 enabled, 2 disabled
  granted     bigint      DEFAULT 0 CHECK (granted < 4503599627370496),  -- 2^52: exact in Lua
  gver        bigint      NOT NULL DEFAULT 1,
  used        bigint      NOT NULL DEFAULT 0,
  version     bigint      NOT NULL DEFAULT 1,
  created_at  timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE "user" (
  id                bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  username          text        NOT NULL CHECK (username <> ''),
  display_name      text        NOT NULL DEFAULT '',
  email             text,
  email_verified_at timestamptz,
  password_hash     text,                               -- argon2id
  password_once     boolean     NOT NULL DEFAULT false, -- made by an operator; must be changed after it was used
  role              text        NOT NULL DEFAULT 'user'
                    CHECK (role IN ('owner', 'admin', 'operator', 'viewer', 'user')),
  mail_warnings     boolean     NOT NULL DEFAULT true,    -- what concerns them is sent to their e-mail
  account_id        bigint      NOT NULL REFERENCES account,  -- the account that new tokens belong to
  group_id          bigint      NOT NULL REFERENCES "group",  -- the group of tokens that name none
  status            smallint    NOT NULL DEFAULT 1 CHECK (status IN (1, 2)),
  version           bigint      NOT NULL DEFAULT 1,       -- rises with each edit
  created_at        timestamptz NOT NULL DEFAULT now(),
  deleted_at        timestamptz                           -- soft: the ledger keeps its ids
);
CREATE UNIQUE INDEX user_username ON "user" (lower(username)) WHERE deleted_at IS NULL;
CREATE UNIQUE INDEX user_email ON "user" (lower(email)) WHERE email IS NOT NULL AND deleted_at IS NULL;

-- account × user: the role in the account and an optional cap. version rises with the user's own state too.
CREATE TABLE member (
  account_id  bigint      NOT NULL REFERENCES account,
  user_id     bigint      NOT NULL REFERENCES "user",
  role        text        NOT NULL DEFAULT 'member' CHECK (role IN ('owner', 'admin', 'member')),
  limits      jsonb       NOT NULL DEFAULT '[]',
  max_concurrency integer CHECK (max_concurrency > 0),
  granted     bigint      CHECK (granted < 4503599627370496),
  gver        bigint      NOT NULL DEFAULT 1,
  used        bigint      NOT NULL DEFAULT 0,
  version     bigint      NOT NULL DEFAULT 1,
  removed_at  timestamptz,                                    -- no member any more; the row keeps what was used
  PRIMARY KEY (account_id, user_id)
);
CREATE INDEX member_user ON member (user_id);

-- account × group: binds all of an account's keys in that group together. Made with the first token of the pair, and then
-- implied: it keeps sums, and lets nobody use the group who may not otherwise.
CREATE TABLE subscription (
  account_id  bigint      NOT NULL REFERENCES account,
  group_id    bigint      NOT NULL REFERENCES "group",
  implied     boolean     NOT NULL DEFAULT false,
  starts_at   timestamptz,
  ends_at     timestamptz,
  limits      jsonb       NOT NULL DEFAULT '[]',              -- beside those of the group
  max_concurrency integer CHECK (max_concurrency > 0),
  granted     bigint      CHECK (granted < 4503599627370496),
  gver        bigint      NOT NULL DEFAULT 1,
  used        bigint      NOT NULL DEFAULT 0,
  version     bigint      NOT NULL DEFAULT 1,
  PRIMARY KEY (account_id, group_id)
);

-- Where an amount lies, to three digits: as coarse an order as money's, so that what grows changes it seldom.
CREATE FUNCTION amount_step(amount bigint) RETURNS integer LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN sign(amount)::integer * (length(abs(amount)::text) * 1000 + left(rpad(abs(amount)::text, 3, '0'), 3)::integer);

-- What a key opens. NULL in a rule means: the group's token_defaults apply; '{}', '[]' mean: none of its own.
CREATE TABLE token (
  id              bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  account_id      bigint      NOT NULL REFERENCES account,
  user_id         bigint      NOT NULL REFERENCES "user",     -- the maker
  group_id        bigint      REFERENCES "group",             -- NULL: the user's group
  name            text        NOT NULL CHECK (char_length(name) BETWEEN 1 AND 100),
  status          smallint    NOT NULL DEFAULT 1 CHECK (status IN (1, 2)),  -- 3 and 4 are computed when read
  expires_at      timestamptz,                                -- NULL: never
  models          text[],
  models_enabled  boolean     NOT NULL DEFAULT false,
  allow_ips       text[],                                     -- normalised addresses and CIDR blocks
  deny_ips        text[],
  limits          jsonb,                                      -- [{metric, window, limit, mode, …}]
  max_concurrency integer     CHECK (max_concurrency >= 0),   -- 0: none of its own
  reserve         text        CHECK (reserve IN ('strict', 'estimate')),
  metadata        jsonb       NOT NULL DEFAULT '{}',
  granted         bigint      CHECK (granted < 4503599627370496),
  gver            bigint      NOT NULL DEFAULT 1,
  used            bigint      NOT NULL DEFAULT 0,
  version         bigint      NOT NULL DEFAULT 1,
  created_at      timestamptz NOT NULL DEFAULT now(),
  accessed_at     timestamptz,                                -- written with the ledger, at most once a minute
  deleted_at      timestamptz,                                -- soft: the ledger keeps its ids
  -- For lists (docs/decisions/0010-token-lists.md). Posting writes `used` and `accessed_at` each time, and these seldom:
  -- so they may be indexed, and those may not.
  standing        smallint    NOT NULL GENERATED ALWAYS AS     -- the effective status, but for expiry
                  (CASE WHEN status = 2 THEN 2 WHEN granted <= used THEN 4 ELSE 1 END) STORED,
  used_step       integer     NOT NULL GENERATED ALWAYS AS (amount_step(used)) STORED,
  remain_step     integer     GENERATED ALWAYS AS (amount_step(granted - used)) STORED,
  accessed_step   integer     NOT NULL GENERATED ALWAYS AS     -- ten minutes; 0: never
                  (coalesce((extract(epoch FROM accessed_at AT TIME ZONE 'UTC') / 600)::integer, 0)) STORED
) WITH (fillfactor = 85);                                     -- room for `used` to rise within its page
CREATE INDEX token_user ON token (user_id, id DESC) WHERE deleted_at IS NULL;
CREATE INDEX token_account ON token (account_id);
CREATE INDEX token_group ON token (group_id, id) INCLUDE (user_id) WHERE deleted_at IS NULL;
CREATE INDEX token_by_id ON token (standing, id)
       INCLUDE (user_id, group_id, expires_at) WHERE deleted_at IS NULL;
CREATE INDEX token_by_name ON token (standing, (lower(name) COLLATE "C"), id)
       INCLUDE (user_id, group_id, expires_at, name) WHERE deleted_at IS NULL;
CREATE INDEX token_by_created ON token (standing, created_at, id)
       INCLUDE (user_id, group_id, expires_at) WHERE deleted_at IS NULL;
CREATE INDEX token_by_expiry ON token (standing, (coalesce(expires_at, 'infinity')), id)
       INCLUDE (user_id, group_id, expires_at) WHERE deleted_at IS NULL;
CREATE INDEX token_by_access ON token (standing, accessed_step, id)
       INCLUDE (user_id, group_id, expires_at) WHERE deleted_at IS NULL;
CREATE INDEX token_by_use ON token (standing, used_step, id)
       INCLUDE (user_id, group_id, expires_at) WHERE deleted_at IS NULL;
CREATE INDEX token_by_remainder ON token (standing, remain_step, id)
       INCLUDE (user_id, group_id, expires_at) WHERE deleted_at IS NULL AND granted IS NOT NULL AND used_step > 0;
CREATE INDEX token_by_grant ON token (standing, remain_step, granted, id)
       INCLUDE (user_id, group_id, expires_at) WHERE deleted_at IS NULL AND granted IS NOT NULL AND used_step = 0;
CREATE INDEX token_unlimited ON token (standing, id)
       INCLUDE (user_id, group_id, expires_at) WHERE deleted_at IS NULL AND granted IS NULL;

-- The secrets that open a token. Rotation, playground, pepper change and reveal are rows, not columns.
-- digest = HMAC-SHA-256(pepper, SHA-256(key)), so that tables which hold only SHA-256 of a key can be imported.
CREATE TABLE token_secret (
  id              bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  token_id        bigint      NOT NULL REFERENCES token ON DELETE CASCADE,
  digest          bytea       NOT NULL UNIQUE CHECK (octet_length(digest) = 32),
  pepper_version  integer     NOT NULL,                       -- which pepper it was: gateway/domain/pepper.py
  display         text        NOT NULL,                       -- 'sk-AbCd**********wxyz'
  last4           text        NOT NULL,
  purpose         text        NOT NULL DEFAULT 'key' CHECK (purpose IN ('key', 'playground', 'imported')),
  expires_at      timestamptz,                                -- the end of a rotation's overlap
  last_used_at    timestamptz,
  sealed          bytea,                                      -- AES-256-GCM of the key, only where keys.recoverable
  address         inet,                                       -- for whom the console calls: goes before the connection's
  created_at      timestamptz NOT NULL DEFAULT now(),
  CHECK ((purpose = 'playground') = (address IS NOT NULL)),
  CHECK (purpose <> 'playground' OR expires_at IS NOT NULL)
);
CREATE INDEX token_secret_token ON token_secret (token_id);
CREATE INDEX token_secret_imported ON token_secret (id) WHERE purpose = 'imported';  -- is there any?
CREATE INDEX token_secret_playground ON token_secret (expires_at) WHERE purpose = 'playground';  -- which are over?
CREATE INDEX token_secret_last4 ON token_secret (last4);
CREATE INDEX token_secret_first ON token_secret (left(display, 7));

-- Tokens as administrators read them: the fields of `TokenRow` (gateway/domain/edit.py), in their order.
CREATE VIEW token_shown AS
SELECT t.id, t.account_id, t.user_id, t.name, t.status, g.name AS "group", ug.name AS user_group, t.expires_at,
       t.models, t.models_enabled, t.allow_ips, t.deny_ips, t.limits, t.max_concurrency, t.reserve, t.metadata,
       t.granted, t.gver, t.used, t.version, t.created_at, t.accessed_at,
       coalesce(s.display, '') AS display, coalesce(s.recoverable, false) AS recoverable, u.username, s.overlap_until
  FROM token t
  JOIN "user" u ON u.id = t.user_id
  JOIN "group" ug ON ug.id = u.group_id
  LEFT JOIN "group" g ON g.id = t.group_id
  LEFT JOIN LATERAL (SELECT display, sealed IS NOT NULL AS recoverable,
                            max(expires_at) FILTER (WHERE expires_at > now()) OVER () AS overlap_until
                       FROM token_secret WHERE token_id = t.id AND purpose <> 'playground'
                      ORDER BY id DESC LIMIT 1) s ON true
 WHERE t.deleted_at IS NULL;
-- Those of a page, in the order of its ids. They are found in one way, whatever their ids, and to plan it takes as long as
-- to do it: a function's plan is kept, also where the statement around it is planned for its values.
CREATE FUNCTION tokens_shown(ids bigint[]) RETURNS SETOF token_shown LANGUAGE plpgsql STABLE ROWS 100
SET plan_cache_mode = force_generic_plan AS $$
BEGIN
  RETURN QUERY SELECT * FROM token_shown t WHERE t.id = ANY (ids) ORDER BY array_position(ids, t.id);
END $$;

-- Every change of a granted column. scope_kind: t token, m member, g subscription, a account; scope_id is the
-- token's, user's, group's or account's id within account_id.
CREATE TABLE grant_entry (
  id          bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  scope_kind  "char"      NOT NULL CHECK (scope_kind IN ('t', 'm', 'g', 'a')),
  account_id  bigint      NOT NULL REFERENCES account,
  scope_id    bigint      NOT NULL,
  delta       bigint      NOT NULL,
  kind        text        NOT NULL,                           -- create, edit, grant, top_up, redeem, refund, uncap, cap
  actor       text        NOT NULL,
  note        text        NOT NULL DEFAULT '',
  idem_key    text        UNIQUE,                             -- 'top_up:<reference>', 'redeem:<code>', 'late:…': booked once
  at          timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX grant_entry_scope ON grant_entry (scope_kind, account_id, scope_id, id);

-- Codes that add to the account of whoever redeems them first. Of a code only a digest is kept.
CREATE TABLE redeem_batch (
  id          bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  amount      bigint      NOT NULL CHECK (amount > 0),        -- of each code
  note        text        NOT NULL DEFAULT '',
  expires_at  timestamptz,
  actor       text        NOT NULL,
  created_at  timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE redeem_code (
  id          bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  batch_id    bigint      NOT NULL REFERENCES redeem_batch,
  digest      bytea       NOT NULL UNIQUE CHECK (octet_length(digest) = 32),
  pepper_version integer  NOT NULL,
  display     text        NOT NULL,                           -- its beginning
  revoked_at  timestamptz,
  used_at     timestamptz,
  used_by     bigint      REFERENCES "user",
  account_id  bigint      REFERENCES account                  -- what it was added to
);
CREATE INDEX redeem_code_batch ON redeem_code (batch_id, id);

-- Each forwarded request is one row of kind 'c' (charge); 'x' is a later correction. request_id is a uuidv7
-- made by the worker, so its order is time's and a partition is a range of time.
CREATE TABLE ledger (
  request_id          uuid        NOT NULL,
  kind                "char"      NOT NULL CHECK (kind IN ('c', 'x')),
  account_id          bigint      NOT NULL,
  token_id            bigint      NOT NULL,
  user_id             bigint      NOT NULL,
  group_id            bigint      NOT NULL,
  model               text        NOT NULL,
  upstream            text        NOT NULL,                   -- '' when none was reached
  dialect             text        NOT NULL,
  route               text        NOT NULL,
  status              smallint    NOT NULL,                   -- what the caller was answered; 499 = the caller left
  started_at          timestamptz NOT NULL,
  ttfb_ms             integer,                                -- until the upstream's first byte
  duration_ms         integer     NOT NULL,
  address             inet,
  input_tokens        bigint      NOT NULL DEFAULT 0,
  cached_input_tokens bigint      NOT NULL DEFAULT 0,         -- part of input_tokens
  cache_write_tokens  bigint      NOT NULL DEFAULT 0,         -- part of input_tokens
  cache_write_1h_tokens bigint    NOT NULL DEFAULT 0,         -- part of cache_write_tokens
  audio_input_tokens  bigint      NOT NULL DEFAULT 0,         -- part of input_tokens
  image_input_tokens  bigint      NOT NULL DEFAULT 0,         -- part of input_tokens
  output_tokens       bigint      NOT NULL DEFAULT 0,
  reasoning_tokens    bigint      NOT NULL DEFAULT 0,         -- part of output_tokens
  audio_output_tokens bigint      NOT NULL DEFAULT 0,         -- part of output_tokens
  image_output_tokens bigint      NOT NULL DEFAULT 0,         -- part of output_tokens
  rejected_prediction_tokens bigint NOT NULL DEFAULT 0,       -- part of output_tokens
  amount              bigint      NOT NULL CHECK (amount >= 0),
  unbilled            bigint      NOT NULL DEFAULT 0,         -- real cost above the reservation
  estimated           boolean     NOT NULL DEFAULT false,     -- the provider's own figure is missing
  anomaly             text,
  price_version       integer     NOT NULL DEFAULT 0,         -- 0: no price
  end_user            text,                                   -- whom the call was for, as the caller told
  tags                jsonb,                                  -- {"key": "value"}, as the caller told
  from_console        boolean     NOT NULL DEFAULT false,     -- made with a secret of the console's playground
  PRIMARY KEY (request_id, kind)
) PARTITION BY RANGE (request_id);
CREATE TABLE ledger_default PARTITION OF ledger DEFAULT;      -- skewed clocks
CREATE INDEX ledger_token ON ledger (token_id, request_id DESC);
CREATE INDEX ledger_account ON ledger (account_id, request_id DESC);

-- The smallest uuidv7 of an instant: 48 bits of Unix milliseconds, then zeros (RFC 9562 section 5.7).
CREATE FUNCTION uuid7_floor(at timestamptz) RETURNS uuid LANGUAGE sql IMMUTABLE STRICT AS $$
  SELECT (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || repeat('0', 20))::uuid
$$;
-- The instant of a uuidv7, to the millisecond.
CREATE FUNCTION uuid7_time(id uuid) RETURNS timestamptz LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN to_timestamp((('x' || left(replace(id::text, '-', ''), 12))::bit(48)::bigint) / 1000.0);

-- Makes the monthly partitions (UTC) from the month of `since` on, and moves rows of these months out of the default
-- partition. Safe to repeat. Each is made apart and attached, so that calls are posted and read meanwhile; where
-- there are rows to move, they wait. Whatever has to be waited for itself is given up after two seconds.
CREATE FUNCTION ensure_ledger_partitions(since timestamptz, months integer) RETURNS void
LANGUAGE plpgsql SET lock_timeout = '2s' AS $$
DECLARE
  first timestamp := date_trunc('month', since AT TIME ZONE 'UTC');
  month timestamp;
  name  text;
  lower uuid;
  upper uuid;
BEGIN
  PERFORM pg_advisory_xact_lock(1953459312);  -- one process at a time
  FOR i IN 0 .. months - 1 LOOP
    month := first + make_interval(months => i);
    name := 'ledger_' || to_char(month, 'YYYYMM');
    CONTINUE WHEN to_regclass(quote_ident(name)) IS NOT NULL;
    lower := uuid7_floor(month AT TIME ZONE 'UTC');
    upper := uuid7_floor((month + interval '1 month') AT TIME ZONE 'UTC');
    EXECUTE format('CREATE TABLE %I (LIKE ledger INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING INDEXES)', name);
    IF EXISTS (SELECT FROM ledger_default WHERE request_id >= lower AND request_id < upper) THEN
      LOCK TABLE ledger_default IN ACCESS EXCLUSIVE MODE;
      EXECUTE format('WITH moved AS (DELETE FROM ledger_default WHERE request_id >= %L AND request_id < %L RETURNING *)'
                     ' INSERT INTO %I SELECT * FROM moved', lower, upper, name);
    END IF;
    -- With it nothing has to be read to see that all rows are of the month.
    EXECUTE format('ALTER TABLE %I ADD CONSTRAINT of_the_month CHECK (request_id >= %L AND request_id < %L)',
                   name, lower, upper);
    EXECUTE format('ALTER TABLE ledger ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', name, lower, upper);
    EXECUTE format('ALTER TABLE %I DROP CONSTRAINT of_the_month', name);
  END LOOP;
END $$;
SELECT ensure_ledger_partitions(now(), 3);

-- How the ledger's months are kept; one row. `retention_months` is the owner's to say (`tollhouse migrate` writes what
-- the configuration has): so many months before the present one are kept, 0 for ever.
CREATE TABLE ledger_keeping (
  one_row          boolean     PRIMARY KEY DEFAULT true CHECK (one_row),
  retention_months integer     NOT NULL DEFAULT 0 CHECK (retention_months = 0 OR retention_months >= 2),
  looked_at        timestamptz NOT NULL DEFAULT '-infinity',  -- when partitions were last made in time
  dropped_before   timestamptz NOT NULL DEFAULT '-infinity'   -- the end of the last month that was dropped
);
INSERT INTO ledger_keeping DEFAULT VALUES;

-- What the charges of dropped months came to: with the ledger's rows, all that was ever charged.
CREATE TABLE carried (
  month       date        NOT NULL,
  account_id  bigint      NOT NULL,
  token_id    bigint      NOT NULL,
  user_id     bigint      NOT NULL,
  group_id    bigint      NOT NULL,
  charges     bigint      NOT NULL,                           -- rows, corrections among them
  amount      bigint      NOT NULL CHECK (amount >= 0),
  unbilled    bigint      NOT NULL,
  estimated   bigint      NOT NULL,                           -- the part of amount without the provider's own figure
  PRIMARY KEY (month, account_id, token_id, user_id, group_id)
);

-- Once a day, for whichever worker asks first: makes the partitions of this month and the next two. Answers a row where
-- it has looked: how many rows the default partition has, and from when to when. With the owner's rights, who alone
-- may make tables; so it takes no argument.
CREATE FUNCTION make_ledger_months() RETURNS TABLE (strays bigint, first_at timestamptz, last_at timestamptz)
LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
  IF NOT pg_try_advisory_xact_lock(1953459312) THEN
    RETURN;
  END IF;
  UPDATE ledger_keeping SET looked_at = now() WHERE looked_at < now() - interval '20 hours';
  IF NOT FOUND THEN
    RETURN;
  END IF;
  PERFORM ensure_ledger_partitions(now(), 3);
  RETURN QUERY SELECT (SELECT count(*) FROM ledger_default),
                      uuid7_time((SELECT request_id FROM ledger_default ORDER BY request_id LIMIT 1)),
                      uuid7_time((SELECT request_id FROM ledger_default ORDER BY request_id DESC LIMIT 1));
END $$;

-- Drops the oldest month that need not be kept any more, with its attempts, and carries what its charges came to, all
-- in one transaction; answers its partition's name, NULL where none is due. Its rows can be read until the very end.
-- A default partition rules out DETACH … CONCURRENTLY, so the lock that everybody would wait for is tried
-- for a moment again and again.
CREATE FUNCTION drop_ledger_month() RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET lock_timeout = '200ms' AS $$
DECLARE
  name  text;
  month timestamp;
  month_end timestamptz;
  tries integer := 60;
BEGIN
  IF NOT pg_try_advisory_xact_lock(1953459300) THEN
    RETURN NULL;
  END IF;
  SELECT relname, to_date(right(relname, 6), 'YYYYMM') INTO name, month
    FROM pg_inherits JOIN pg_class p ON p.oid = inhrelid
   WHERE inhparent = 'ledger'::regclass AND relname ~ '^ledger_[0-9]{6}$' ORDER BY relname LIMIT 1;
  month_end := (month + interval '1 month') AT TIME ZONE 'UTC';
  IF NOT EXISTS (SELECT FROM ledger_keeping WHERE retention_months > 0 AND
                 month < date_trunc('month', now() AT TIME ZONE 'UTC') - make_interval(months => retention_months)) THEN
    RETURN NULL;
  END IF;
  EXECUTE format('LOCK TABLE %I IN SHARE MODE', name);
  -- Usage goes on being told of it by the rollup, which has to have all of it.
  IF EXISTS (SELECT FROM rollup_state WHERE rolled_before < month_end)
     OR EXISTS (SELECT FROM rollup_late WHERE request_id < uuid7_floor(month_end)) THEN
    RETURN NULL;
  END IF;
  EXECUTE format($sums$
    INSERT INTO carried AS c
    SELECT %L::date, account_id, token_id, user_id, group_id, count(*), sum(amount), sum(unbilled),
           coalesce(sum(amount) FILTER (WHERE estimated), 0)
      FROM %I GROUP BY 2, 3, 4, 5
        ON CONFLICT (month, account_id, token_id, user_id, group_id) DO UPDATE
       SET charges = c.charges + excluded.charges, amount = c.amount + excluded.amount,
           unbilled = c.unbilled + excluded.unbilled, estimated = c.estimated + excluded.estimated
  $sums$, month, name);
  DELETE FROM attempt WHERE request_id < uuid7_floor(month_end);
  UPDATE ledger_keeping SET dropped_before = month_end;
  LOOP
    BEGIN
      EXECUTE format('ALTER TABLE ledger DETACH PARTITION %I', name);
      EXIT;
    EXCEPTION WHEN lock_not_available THEN
      tries := tries - 1;
      IF tries = 0 THEN
        RAISE;
      END IF;
      PERFORM pg_sleep(0.5);
    END;
  END LOOP;
  EXECUTE format('DROP TABLE %I', name);
  RETURN name;
END $$;
-- What runs with the owner's rights finds our tables, whatever its caller's search_path says.
DO $$
BEGIN
  EXECUTE format('ALTER FUNCTION make_ledger_months() SET search_path = %I, pg_temp', current_schema());
  EXECUTE format('ALTER FUNCTION drop_ledger_month() SET search_path = %I, pg_temp', current_schema());
END $$;

-- Sums of calls by hours and days of UTC, from which usage is told (docs/decisions/0018-ledger-at-length.md): all rows of the
-- ledger from before `rollup_state.rolled_before` but those in `rollup_late`. Of each key (f, h, d, t, s: f are the first
-- halves of hours, t days and s stretches of 32 days whatever the model, upstream and group), and of all together (Q, H, D; Q are quarters of hours).
CREATE TABLE rollup (
  span        "char"      NOT NULL,                           -- what it tells nothing of is 0 or ''
  at          timestamptz NOT NULL,                           -- its begin
  token_id    bigint      NOT NULL,
  user_id     bigint      NOT NULL,
  account_id  bigint      NOT NULL,
  group_id    bigint      NOT NULL,
  model       text        NOT NULL,
  upstream    text        NOT NULL,
  requests    bigint      NOT NULL,
  errors      bigint      NOT NULL,                           -- answered 400 and more
  timed       bigint      NOT NULL,                           -- with a ttfb_ms
  input_tokens        bigint NOT NULL,
  cached_input_tokens bigint NOT NULL,
  cache_write_tokens  bigint NOT NULL,
  cache_write_1h_tokens bigint NOT NULL,
  audio_input_tokens  bigint NOT NULL,
  image_input_tokens  bigint NOT NULL,
  output_tokens       bigint NOT NULL,
  reasoning_tokens    bigint NOT NULL,
  audio_output_tokens bigint NOT NULL,
  image_output_tokens bigint NOT NULL,
  rejected_prediction_tokens bigint NOT NULL,
  amount      bigint      NOT NULL,
  duration_ms bigint      NOT NULL,
  ttfb_ms     bigint      NOT NULL,                           -- of those that are timed
  PRIMARY KEY (span, token_id, at, model, upstream, group_id, user_id, account_id)
) PARTITION BY LIST (span);
CREATE TABLE rollup_key_hours PARTITION OF rollup FOR VALUES IN ('h');
CREATE TABLE rollup_key_days PARTITION OF rollup FOR VALUES IN ('d') WITH (fillfactor = 80);  -- they grow within their page
CREATE TABLE rollup_key_halves PARTITION OF rollup FOR VALUES IN ('f');
CREATE TABLE rollup_key_totals PARTITION OF rollup FOR VALUES IN ('t') WITH (fillfactor = 80);
CREATE TABLE rollup_key_stretches PARTITION OF rollup FOR VALUES IN ('s') WITH (fillfactor = 80);
CREATE TABLE rollup_quarters PARTITION OF rollup FOR VALUES IN ('Q');
CREATE TABLE rollup_hours PARTITION OF rollup FOR VALUES IN ('H');
CREATE TABLE rollup_days PARTITION OF rollup FOR VALUES IN ('D') WITH (fillfactor = 80);
CREATE INDEX rollup_user ON rollup (user_id, at);
CREATE INDEX rollup_at ON rollup (at);

-- Rows that were posted when the rollup had been there already, until it has added them.
CREATE TABLE rollup_late (
  request_id  uuid        NOT NULL,
  kind        "char"      NOT NULL,
  PRIMARY KEY (request_id, kind)
);

-- How far the rollup has come; one row. Quarters of hours. Posting notes what is of before `noted_before`.
CREATE TABLE rollup_state (
  one_row       boolean     PRIMARY KEY DEFAULT true CHECK (one_row),
  noted_before  timestamptz NOT NULL DEFAULT to_timestamp(0),
  rolled_before timestamptz NOT NULL DEFAULT to_timestamp(0),
  complete_from   timestamptz NOT NULL DEFAULT to_timestamp(0),   -- the first hour of which there are f and t
  complete_before timestamptz NOT NULL DEFAULT to_timestamp(0),   -- as rolled_before, unless it was raised without them
  stretched_from   timestamptz NOT NULL DEFAULT to_timestamp(0),  -- from when on there are s
  stretched_before timestamptz NOT NULL DEFAULT to_timestamp(0),  -- as rolled_before, unless it was raised without them
  CHECK (rolled_before <= noted_before)
);
INSERT INTO rollup_state DEFAULT VALUES;

-- Each try at an upstream of the calls that needed several, so that what providers may bill us is on record.
CREATE TABLE attempt (
  request_id    uuid        NOT NULL,
  no            smallint    NOT NULL,
  upstream      text        NOT NULL,
  status        smallint,                                     -- NULL: no answer
  error         text,
  cost_estimate bigint      NOT NULL DEFAULT 0,
  at            timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (request_id, no)
);

-- What callers have made at upstreams, by the upstreams' ids: whose it is, and where.
CREATE TABLE object (
  id          text        PRIMARY KEY,
  account_id  bigint      NOT NULL,
  upstream    text        NOT NULL,
  created_at  timestamptz NOT NULL DEFAULT now()
);

-- Refusals by token, reason and hour; token_id 0 = before a token was known.
CREATE TABLE refusal (
  token_id    bigint      NOT NULL,
  reason      text        NOT NULL,
  hour        timestamptz NOT NULL,
  n           bigint      NOT NULL,
  PRIMARY KEY (token_id, reason, hour)
);
CREATE INDEX refusal_hour ON refusal (hour);

-- Console sessions: only a digest of the cookie's value is kept.
CREATE TABLE session (
  id          bigint      GENERATED ALWAYS AS IDENTITY UNIQUE,  -- by which its user names it
  digest      bytea       PRIMARY KEY CHECK (octet_length(digest) = 32),
  pepper_version integer  NOT NULL,
  user_id     bigint      NOT NULL REFERENCES "user" ON DELETE CASCADE,
  created_at  timestamptz NOT NULL DEFAULT now(),
  seen_at     timestamptz NOT NULL DEFAULT now(),
  expires_at  timestamptz NOT NULL,
  address     inet,
  user_agent  text        NOT NULL DEFAULT ''
);
CREATE INDEX session_by_user ON session (user_id);

-- Each warning that was told, for 90 days. The operator is told of all.
CREATE TABLE warning (
  id          bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  kind        text        NOT NULL CHECK (kind IN ('quota', 'limit', 'expiry', 'upstream')),
  subject     text        NOT NULL,                           -- as in warned
  data        jsonb       NOT NULL,                           -- of the event, as it was sent
  concerned   bigint[]    NOT NULL,                           -- users, whether or not anything reached them
  at          timestamptz NOT NULL
);
CREATE INDEX warning_at ON warning (at);
CREATE INDEX warning_concerned ON warning USING gin (concerned);

-- What is sent to people, until it is: e-mails, and calls of their webhooks. Written in the transaction of what it
-- tells of; the admin app sends it (gateway/store/outbox.py).
CREATE TABLE outbox (
  id          bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  kind        text        NOT NULL CHECK (kind IN ('mail', 'webhook')),
  target      text        NOT NULL,                           -- an address, or the webhook's URL
  content     bytea       NOT NULL,                           -- sealed: it may hold a link that lets somebody in
  once        text        UNIQUE,                             -- of what happened: told once, however often it is noticed
  attempts    integer     NOT NULL DEFAULT 0,
  due_at      timestamptz NOT NULL DEFAULT now(),             -- of the next attempt
  sent_at     timestamptz,
  failed_at   timestamptz,                                    -- given up
  error       text,                                           -- of the last attempt
  created_at  timestamptz NOT NULL DEFAULT now(),
  warning_id  bigint      REFERENCES warning ON DELETE CASCADE,  -- what it tells of, and goes with
  user_id     bigint                                          -- to whom; NULL: the operator
);
CREATE INDEX outbox_due ON outbox (due_at) WHERE sent_at IS NULL AND failed_at IS NULL;
CREATE INDEX outbox_warning ON outbox (warning_id) WHERE warning_id IS NOT NULL;

-- Where events are sent that concern a user, besides their e-mail.
CREATE TABLE webhook (
  id          bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  user_id     bigint      NOT NULL REFERENCES "user" ON DELETE CASCADE,
  url         text        NOT NULL,
  sealed_secret bytea     NOT NULL,                           -- AES-256-GCM of what calls are signed with
  created_at  timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX webhook_user ON webhook (user_id);

-- What was watched and had come past a mark, so that a crossing is told once (gateway/domain/marks.py).
CREATE TABLE warned (
  subject     text        NOT NULL,                           -- 't5', 'm1.2', 'g1.3', 'a1', 'u' and an upstream's name
  rule        text        NOT NULL,                           -- 'quota', 'expiry', 'out', or a window's name
  value       bigint      NOT NULL,                           -- when it was seen last
  seen_at     timestamptz NOT NULL,
  told_level  smallint    NOT NULL,
  told_at     timestamptz NOT NULL,
  PRIMARY KEY (subject, rule)
);

-- Upstreams that a worker cannot use, for as long as it cannot.
CREATE TABLE outage (
  upstream    text        NOT NULL,
  worker      text        NOT NULL,
  since       timestamptz NOT NULL,
  seen_at     timestamptz NOT NULL DEFAULT now(),             -- a worker that ends does not take its word back
  PRIMARY KEY (upstream, worker)
);

-- Access tokens of the admin API: not sk- keys.
CREATE TABLE access_token (
  id            bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  user_id       bigint      NOT NULL REFERENCES "user" ON DELETE CASCADE,
  digest        bytea       NOT NULL UNIQUE CHECK (octet_length(digest) = 32),
  pepper_version integer    NOT NULL,
  name          text        NOT NULL DEFAULT '',
  scopes        text[]      NOT NULL DEFAULT '{}',            -- empty: all that the user's role may do
  allow_ips     text[]      NOT NULL DEFAULT '{}',
  expires_at    timestamptz,
  last_used_at  timestamptz,
  created_at    timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX access_token_user ON access_token (user_id);

-- Links in e-mails: each works once, until it expires, for the address that it was sent to. Only a digest is kept.
CREATE TABLE link (
  digest      bytea       PRIMARY KEY CHECK (octet_length(digest) = 32),
  pepper_version integer  NOT NULL,
  purpose     text        NOT NULL CHECK (purpose IN ('reset', 'verify')),
  user_id     bigint      NOT NULL REFERENCES "user" ON DELETE CASCADE,
  email       text        NOT NULL,
  expires_at  timestamptz NOT NULL,
  used_at     timestamptz,
  created_at  timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX link_user ON link (user_id);

-- Who somebody is at an OpenID provider.
CREATE TABLE identity (
  issuer      text        NOT NULL,
  subject     text        NOT NULL,
  user_id     bigint      NOT NULL REFERENCES "user" ON DELETE CASCADE,
  created_at  timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (issuer, subject)
);
CREATE INDEX identity_user ON identity (user_id);

-- With which people register: as what, into which wallet, and how many. Only a digest of what is handed out is kept.
CREATE TABLE invite (
  id          bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  digest      bytea       NOT NULL UNIQUE CHECK (octet_length(digest) = 32),
  pepper_version integer  NOT NULL,
  made_by     bigint      NOT NULL REFERENCES "user",
  role        text        NOT NULL CHECK (role IN ('owner', 'admin', 'operator', 'viewer', 'user')),
  group_id    bigint      NOT NULL REFERENCES "group",
  account_id  bigint      REFERENCES account,                 -- NULL: each gets an account of their own
  granted     bigint      CHECK (granted >= 0),               -- on each account of their own; NULL: as whoever registers
  email       text,                                           -- whom it was sent to, if anybody
  uses        integer     NOT NULL CHECK (uses > 0),
  used        integer     NOT NULL DEFAULT 0 CHECK (used BETWEEN 0 AND uses),
  expires_at  timestamptz NOT NULL,
  revoked_at  timestamptz,
  created_at  timestamptz NOT NULL DEFAULT now()
);

-- Answers to repeated creations with the same Idempotency-Key (24 hours).
CREATE TABLE idempotency (
  user_id     bigint      NOT NULL REFERENCES "user" ON DELETE CASCADE,
  idem_key    text        NOT NULL,
  body_digest bytea       NOT NULL,
  answer      bytea       NOT NULL,                           -- AES-256-GCM: it holds a key
  at          timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (user_id, idem_key)
);

-- Who changed what; written in the change's own transaction. Append-only: see the trigger.
CREATE TABLE audit (
  id          bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  at          timestamptz NOT NULL DEFAULT now(),
  actor       text        NOT NULL,                           -- 'user:1', 'cli', 'system', 'nobody'
  action      text        NOT NULL,                           -- 'token.create', …
  object_kind text        NOT NULL,
  object_id   text        NOT NULL,
  before      jsonb,
  after       jsonb,
  address     inet,
  request_id  text
);
CREATE INDEX audit_object ON audit (object_kind, object_id, id DESC);
CREATE INDEX audit_actor ON audit (actor, id DESC);
CREATE INDEX audit_at ON audit (at);

-- What was written of who did what stays as it is, whoever asks. Its owner can remove the trigger, and has to on purpose:
-- no process connects as the owner.
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE insufficient_privilege USING
    MESSAGE = format('%s is append-only: no %s', TG_TABLE_NAME, TG_OP),
    HINT = 'docs/operations.md tells how its owner removes old rows.';
END $$;
CREATE TRIGGER audit_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit
  FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- Names by three letters of them but for the first letter, which token_by_name finds: what many names begin with would
-- hide where else it stands. Where the server has no pg_trgm, or the user may not create it, long lists are
-- searched by the beginning of names only (docs/token-api.md).
DO $$
BEGIN
  CREATE EXTENSION IF NOT EXISTS pg_trgm;
  CREATE INDEX token_trigram ON token USING gin (substr(lower(name), 2) gin_trgm_ops);
EXCEPTION WHEN insufficient_privilege OR undefined_file OR feature_not_supported OR undefined_object THEN
  RAISE NOTICE 'no pg_trgm (%): long lists of tokens are searched by the beginning of names only', SQLERRM;
END $$;

-- Who may do what. Each process connects as a role of its own (docs/operations.md): these bear the rights, and cannot log
-- in until the operator lets them. The owner, who made the tables, is needed for `tollhouse migrate` alone.
--   tollhouse_gateway  a worker: reads what decides about calls, posts to the ledger
--   tollhouse_admin    the admin app and commands: writes neither the ledger nor what was used
--   tollhouse_reader   reads figures, books and the audit: no digest, nothing sealed, no password's hash
-- Whoever may not make roles is told so; when they were made by somebody else, `tollhouse migrate` grants again.
CREATE FUNCTION grant_rights() RETURNS void LANGUAGE plpgsql AS $rights$
DECLARE
  role  text;
  scope text;
  names text;
BEGIN
  FOREACH role IN ARRAY ARRAY['tollhouse_gateway', 'tollhouse_admin', 'tollhouse_reader'] LOOP
    BEGIN
      IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role) THEN
        EXECUTE format('CREATE ROLE %I NOLOGIN', role);
      END IF;
    EXCEPTION
      WHEN insufficient_privilege THEN
        RAISE NOTICE 'no role %, and % may not make it: nothing was granted to the roles of Tollhouse', role, current_user;
        RETURN;
      WHEN duplicate_object OR unique_violation THEN
        NULL;  -- another database of this server was first
    END;
  END LOOP;

  GRANT SELECT ON schema_version, catalog, "group", price, model, upstream, account, member, subscription, token,
                  grant_entry, ledger, carried, ledger_keeping, rollup, rollup_late, rollup_state, attempt, object, refusal,
                  outage TO tollhouse_gateway;
  GRANT SELECT (id, account_id, group_id, status) ON "user" TO tollhouse_gateway;
  GRANT SELECT (id, token_id, digest, pepper_version, purpose, expires_at, last_used_at, address),
        UPDATE (digest, pepper_version, last_used_at) ON token_secret TO tollhouse_gateway;
  GRANT INSERT ON ledger, attempt, object, refusal, outage, grant_entry TO tollhouse_gateway;
  GRANT INSERT, UPDATE ON rollup TO tollhouse_gateway;
  GRANT INSERT, DELETE ON rollup_late TO tollhouse_gateway;
  GRANT UPDATE (noted_before, rolled_before, complete_from, complete_before, stretched_from, stretched_before)
     ON rollup_state TO tollhouse_gateway;
  GRANT UPDATE (n), DELETE ON refusal TO tollhouse_gateway;
  GRANT UPDATE (since, seen_at), DELETE ON outage TO tollhouse_gateway;
  GRANT INSERT (account_id, user_id) ON member TO tollhouse_gateway;
  GRANT INSERT (account_id, group_id, implied, granted, version) ON subscription TO tollhouse_gateway;
  -- What a lost worker was charged too much is granted back: gateway/store/late_figures.py.
  GRANT UPDATE (used, accessed_at, granted, gver) ON token TO tollhouse_gateway;
  GRANT UPDATE (used, granted, gver) ON account, member, subscription TO tollhouse_gateway;
  -- Groups of the configuration get their rows from whichever process starts first.
  GRANT INSERT (name), UPDATE (open, subscription_granted) ON "group" TO tollhouse_gateway;
  GRANT UPDATE (generation) ON catalog TO tollhouse_gateway;  -- where Postgres has lost one that Valkey knows
  GRANT EXECUTE ON FUNCTION make_ledger_months(), drop_ledger_month() TO tollhouse_gateway;

  EXECUTE format('GRANT SELECT ON ALL TABLES IN SCHEMA %I TO tollhouse_admin', current_schema());
  GRANT INSERT, UPDATE ON "user", "group", identity, invite, redeem_code TO tollhouse_admin;
  GRANT INSERT ON grant_entry, price, redeem_batch, audit TO tollhouse_admin;
  GRANT UPDATE ON catalog TO tollhouse_admin;
  GRANT INSERT, UPDATE, DELETE ON token_secret, session, access_token, link, model, upstream, idempotency, outbox, warning,
                                  warned, webhook TO tollhouse_admin;
  GRANT DELETE ON outage TO tollhouse_admin;
  FOREACH scope IN ARRAY ARRAY['account', 'member', 'subscription', 'token'] LOOP
    SELECT string_agg(quote_ident(attname), ', ') INTO names FROM pg_attribute
     WHERE attrelid = scope::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = ''
       AND attname NOT IN ('used', 'accessed_at');
    EXECUTE format('GRANT INSERT (%s), UPDATE (%s) ON %I TO tollhouse_admin', names, names, scope);
  END LOOP;

  GRANT SELECT ON schema_version, catalog, "group", price, model, account, member, subscription, token, token_shown,
                  grant_entry, ledger, carried, ledger_keeping, rollup, rollup_late, rollup_state, attempt, object, refusal,
                  outage, redeem_batch, warning, warned, audit
     TO tollhouse_reader;
  GRANT SELECT (id, username, role, account_id, group_id, status, created_at, deleted_at) ON "user" TO tollhouse_reader;
END $rights$;
REVOKE EXECUTE ON FUNCTION grant_rights(), ensure_ledger_partitions(timestamptz, integer), make_ledger_months(),
                           drop_ledger_month() FROM PUBLIC;
SELECT grant_rights();
