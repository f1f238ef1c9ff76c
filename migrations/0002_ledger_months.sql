-- The ledger's months: partitions that are made in time without the owner, and dropped where they need not be kept.

-- The instant of a uuidv7, to the millisecond.
CREATE FUNCTION uuid7_time(id uuid) RETURNS timestamptz LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN to_timestamp((('x' || left(replace(id::text, '-', ''), 12))::bit(48)::bigint) / 1000.0);

-- Makes the monthly partitions (UTC) from the month of `since` on, and moves rows of these months out of the default
-- partition. Safe to repeat. Each is made apart and attached, so that calls are posted and read meanwhile; where
-- there are rows to move, they wait. Whatever has to be waited for itself is given up after two seconds.
CREATE OR REPLACE FUNCTION ensure_ledger_partitions(since timestamptz, months integer) RETURNS void
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
  tries integer := 60;
BEGIN
  IF NOT pg_try_advisory_xact_lock(1953459300) THEN
    RETURN NULL;
  END IF;
  SELECT relname, to_date(right(relname, 6), 'YYYYMM') INTO name, month
    FROM pg_inherits JOIN pg_class p ON p.oid = inhrelid
   WHERE inhparent = 'ledger'::regclass AND relname ~ '^ledger_[0-9]{6}$' ORDER BY relname LIMIT 1;
  IF NOT EXISTS (SELECT FROM ledger_keeping WHERE retention_months > 0 AND
                 month < date_trunc('month', now() AT TIME ZONE 'UTC') - make_interval(months => retention_months)) THEN
    RETURN NULL;
  END IF;
  EXECUTE format('LOCK TABLE %I IN SHARE MODE', name);
  EXECUTE format($sums$
    INSERT INTO carried AS c
    SELECT %L::date, account_id, token_id, user_id, group_id, count(*), sum(amount), sum(unbilled),
           coalesce(sum(amount) FILTER (WHERE estimated), 0)
      FROM %I GROUP BY 2, 3, 4, 5
        ON CONFLICT (month, account_id, token_id, user_id, group_id) DO UPDATE
       SET charges = c.charges + excluded.charges, amount = c.amount + excluded.amount,
           unbilled = c.unbilled + excluded.unbilled, estimated = c.estimated + excluded.estimated
  $sums$, month, name);
  DELETE FROM attempt WHERE request_id < uuid7_floor((month + interval '1 month') AT TIME ZONE 'UTC');
  UPDATE ledger_keeping SET dropped_before = (month + interval '1 month') AT TIME ZONE 'UTC';
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
                  grant_entry, ledger, carried, ledger_keeping, attempt, object, refusal, outage TO tollhouse_gateway;
  GRANT SELECT (id, account_id, group_id, status) ON "user" TO tollhouse_gateway;
  GRANT SELECT (id, token_id, digest, pepper_version, purpose, expires_at, last_used_at, address),
        UPDATE (digest, pepper_version, last_used_at) ON token_secret TO tollhouse_gateway;
  GRANT INSERT ON ledger, attempt, object, refusal, outage, grant_entry TO tollhouse_gateway;
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
                  grant_entry, ledger, carried, ledger_keeping, attempt, object, refusal, outage, redeem_batch,
                  warning, warned, audit
     TO tollhouse_reader;
  GRANT SELECT (id, username, role, account_id, group_id, status, created_at, deleted_at) ON "user" TO tollhouse_reader;
END $rights$;
REVOKE EXECUTE ON FUNCTION make_ledger_months(), drop_ledger_month() FROM PUBLIC;
