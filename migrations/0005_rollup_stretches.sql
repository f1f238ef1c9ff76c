-- One more kind of sums of each key: stretches of 32 days, whatever the model, of which years are made.

-- While a worker rolls up it reads the state, which posting would wait behind us for.
SELECT pg_advisory_xact_lock(1953459314);

-- Made apart and attached: to make it as a partition would wait for whoever reads the rollup, and hold up who comes after.
CREATE TABLE rollup_key_stretches (LIKE rollup INCLUDING ALL) WITH (fillfactor = 80);
INSERT INTO rollup_key_stretches (span, at, token_id, user_id, account_id, group_id, model, upstream,
                                  requests, errors, timed, input_tokens, cached_input_tokens, cache_write_tokens,
                                  cache_write_1h_tokens, audio_input_tokens, image_input_tokens, output_tokens,
                                  reasoning_tokens, audio_output_tokens, image_output_tokens,
                                  rejected_prediction_tokens, amount, duration_ms, ttfb_ms)
SELECT 's', date_bin('32 days', at, to_timestamp(0)), token_id, user_id, account_id, 0, '', '',
       sum(requests), sum(errors), sum(timed), sum(input_tokens), sum(cached_input_tokens), sum(cache_write_tokens),
       sum(cache_write_1h_tokens), sum(audio_input_tokens), sum(image_input_tokens), sum(output_tokens),
       sum(reasoning_tokens), sum(audio_output_tokens), sum(image_output_tokens), sum(rejected_prediction_tokens),
       sum(amount), sum(duration_ms), sum(ttfb_ms)
  FROM rollup WHERE span = 't' GROUP BY 2, 3, 4, 5;
ALTER TABLE rollup ATTACH PARTITION rollup_key_stretches FOR VALUES IN ('s');

-- They are made of days whatever the model, and begin where these do.
ALTER TABLE rollup_state
  ADD COLUMN stretched_from   timestamptz NOT NULL DEFAULT to_timestamp(0),  -- from when on there are s
  ADD COLUMN stretched_before timestamptz NOT NULL DEFAULT to_timestamp(0);  -- as rolled_before, unless it was raised without them
UPDATE rollup_state SET stretched_from = complete_from, stretched_before = complete_before;

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
