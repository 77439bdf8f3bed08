-- Market time, switch, processes, months.

-- name: clock
-- How market time runs in this database.
SELECT demo, anchor_market, anchor_process, rate, ceiling, clock_timestamp() AS database_now FROM platform_settings;

-- name: lock_settings
-- Locks the settings' row.
SELECT demo FROM platform_settings FOR NO KEY UPDATE;

-- name: set_clock
-- Anchors a demo's market time anew, the row locked before; time never goes back, not by a ceiling either.
WITH market AS MATERIALIZED (SELECT runner_now() AS stood, clock_timestamp() AS process)
UPDATE platform_settings
   SET anchor_market = greatest(%(at)s, stood), anchor_process = process, rate = coalesce(%(rate)s, rate),
       ceiling = CASE WHEN %(ceiling)s::timestamptz IS NOT NULL THEN greatest(%(ceiling)s, %(at)s, stood) END
  FROM market WHERE demo;

-- name: mark_demo
-- Makes an installation without runs a demo whose market time starts here.
UPDATE platform_settings
   SET demo = true, anchor_market = %(start)s, anchor_process = clock_timestamp(), rate = %(rate)s, ceiling = NULL
 WHERE NOT demo AND NOT EXISTS (SELECT FROM strategy_runs);

-- name: platform
-- Settings of the whole installation.
SELECT kill_switch, kill_switch_reason, minimum_version, demo FROM platform_settings;

-- name: market_now
-- Market time.
SELECT runner_now();

-- name: kill_switch_shared
-- The global switch, which cannot change before this transaction ends.
SELECT kill_switch_shared();

-- name: set_kill_switch
-- Turns the global switch; no row when it stands like that already.
UPDATE platform_settings SET kill_switch = %(on)s, kill_switch_reason = %(reason)s
 WHERE kill_switch <> %(on)s RETURNING kill_switch;

-- name: set_account_kill_switch
-- Turns one account's switch and tells whose it is; no row when it stands like that already.
UPDATE accounts SET kill_switch = %(on)s, kill_switch_reason = %(reason)s
 WHERE id = %(account_id)s AND kill_switch <> %(on)s RETURNING user_id;

-- name: beat
-- Writes a process's heartbeat; those silent for a day are forgotten.
WITH gone AS (DELETE FROM runner_nodes WHERE beat_at < clock_timestamp() - interval '1 day' AND id <> %(id)s)
INSERT INTO runner_nodes (id, version, beat_at) VALUES (%(id)s, %(version)s, clock_timestamp())
ON CONFLICT (id) DO UPDATE SET version = excluded.version, beat_at = excluded.beat_at;

-- name: live_nodes
-- Processes that beat lately.
SELECT id, version, beat_at FROM runner_nodes
 WHERE beat_at > clock_timestamp() - %(within_s)s * interval '1 second' ORDER BY id;

-- name: leave
-- Removes a process that goes.
DELETE FROM runner_nodes WHERE id = %(id)s;

-- name: ensure_partitions
-- Makes the monthly partitions between two instants that are missing.
SELECT ensure_partitions(%(first)s, %(last)s);

-- name: end_stalled
-- Ends sessions of processes like this one that have kept the server waiting for five seconds in a transaction, as
-- idle_in_transaction_session_timeout would if a pipeline's Flush did not disarm it. What they began is undone.
SELECT pg_terminate_backend(pid)
  FROM pg_stat_activity
 WHERE datname = current_database() AND usename = session_user AND pid <> pg_backend_pid()
   AND application_name LIKE %(program)s
   AND state <> 'idle' AND wait_event = 'ClientRead' AND state_change < clock_timestamp() - interval '5 s';
