-- Sums of the ledger by hour and day, from which usage is told; a month is dropped once they have all of it.

-- Sums of calls by hours and days of UTC, from which usage is told (docs/decisions/0018-ledger-at-length.md): all rows of the
-- ledger from before `rollup_state.rolled_before` but those in `rollup_late`. Of each key (h, d), and of all together (Q, H, D).
CREATE TABLE rollup (
  span        "char"      NOT NULL,                           -- of Q, H and D, token, user and account are 0
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

-- How far the rollup has come; one row. Whole hours. Posting notes what is of before `noted_before`.
CREATE TABLE rollup_state (
  one_row       boolean     PRIMARY KEY DEFAULT true CHECK (one_row),
  noted_before  timestamptz NOT NULL DEFAULT to_timestamp(0),
  rolled_before timestamptz NOT NULL DEFAULT to_timestamp(0),
  CHECK (rolled_before <= noted_before)
);
INSERT INTO rollup_state DEFAULT VALUES;

CREATE OR REPLACE FUNCTION drop_ledger_month() RETURNS text
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
-- To replace it takes its search_path away.
DO $$
BEGIN
  EXECUTE format('ALTER FUNCTION drop_ledger_month() SET search_path = %I, pg_temp', current_schema());
END $$;

CREATE OR REPLACE FUNCTION grant_rights() RETURNS void LANGUAGE plpgsql AS $rights$
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
  GRANT UPDATE (noted_before, rolled_before) ON rollup_state TO tollhouse_gateway;
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
