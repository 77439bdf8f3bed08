-- What is older than is kept.

-- name: retention_turn
-- Whether this transaction is the only one that takes old rows out.
SELECT pg_try_advisory_xact_lock(1381256270);

-- name: retention_patience
-- A month's links take a while to be noted; its table is not waited for, as whoever comes behind would wait as well.
SELECT set_config('statement_timeout', '300s', true), set_config('lock_timeout', '300ms', true);

-- name: retention_without_bound
-- This transaction may take longer than others; servers before 17 know no such bound.
SELECT set_config('transaction_timeout', '0', true)
 WHERE EXISTS (SELECT FROM pg_settings WHERE name = 'transaction_timeout');

-- name: oldest_month
-- The oldest monthly partition that ended so many days ago.
SELECT month FROM months_before(runner_now() - %(days)s * interval '1 day') AS month LIMIT 1;

-- name: drop_month
-- Drops one month of one table.
SELECT drop_month(%(month)s);

-- name: delete_old_executions
-- Takes out some executions of slots that long ago, a strategy at a time by its index.
WITH market AS MATERIALIZED (SELECT runner_now() - %(days)s * interval '1 day' AS before)
DELETE FROM strategy_executions WHERE ctid = ANY (ARRAY(
    SELECT old.ctid FROM market, strategies s
     CROSS JOIN LATERAL (SELECT e.ctid FROM strategy_executions e
                          WHERE e.strategy_id = s.id AND e.slot < market.before ORDER BY e.slot LIMIT %(rows)s) AS old
     LIMIT %(rows)s));

-- name: delete_old_prints
-- Takes out some of what code printed at slots that long ago, a strategy at a time by its key.
WITH market AS MATERIALIZED (SELECT runner_now() - %(days)s * interval '1 day' AS before)
DELETE FROM execution_prints WHERE ctid = ANY (ARRAY(
    SELECT old.ctid FROM market, strategies s
     CROSS JOIN LATERAL (SELECT p.ctid FROM execution_prints p
                          WHERE p.strategy_id = s.id AND p.slot < market.before ORDER BY p.slot LIMIT %(rows)s) AS old
     LIMIT %(rows)s));

-- name: delete_old_warnings
-- Takes out some warnings of the time limit from that long ago. What a version is known to be stays: that its answers differ.
WITH market AS MATERIALIZED (SELECT runner_now() - %(days)s * interval '1 day' AS before)
DELETE FROM strategy_warnings WHERE ctid = ANY (ARRAY(
    SELECT w.ctid FROM market, strategy_warnings w
     WHERE w.kind = 'near_time_limit' AND w.slot < market.before LIMIT %(rows)s));

-- name: delete_old_candles
-- Takes out some candles that long ago which came that long ago, a series at a time by its key.
WITH RECURSIVE market AS MATERIALIZED (SELECT runner_now() - %(days)s * interval '1 day' AS before),
series AS (
    (SELECT venue, market, symbol, timeframe FROM candles ORDER BY venue, market, symbol, timeframe LIMIT 1)
    UNION ALL
    SELECT following.* FROM series s CROSS JOIN LATERAL (
        SELECT c.venue, c.market, c.symbol, c.timeframe FROM candles c
         WHERE (c.venue, c.market, c.symbol, c.timeframe) > (s.venue, s.market, s.symbol, s.timeframe)
         ORDER BY c.venue, c.market, c.symbol, c.timeframe LIMIT 1) AS following
)
DELETE FROM candles WHERE ctid = ANY (ARRAY(
    SELECT old.ctid FROM market, series s
     CROSS JOIN LATERAL (
         SELECT c.ctid FROM candles c
          WHERE c.venue = s.venue AND c.market = s.market AND c.symbol = s.symbol AND c.timeframe = s.timeframe
            AND c.open_time < market.before AND coalesce(c.stored_at, c.open_time) < market.before
          ORDER BY c.open_time LIMIT %(rows)s) AS old
     LIMIT %(rows)s));
