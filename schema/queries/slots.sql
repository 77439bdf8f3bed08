-- Leases, claims and tick rows.

-- name: claim_runs
-- Claims a slot for many active runs (lease, fence, slot) and returns what the gates look at.
-- An upsert, so that a lease row that was deleted comes back; the condition is judged on the locked row, and
-- fence and lease are taken after any wait for it. Sorted, so that two claimers cannot block each other.
WITH wanted AS MATERIALIZED (
    SELECT id, user_id, account_id, activated_at, version FROM strategy_runs
     WHERE id = ANY(%(run_ids)s) AND status = 'active'
), claimed AS (
    INSERT INTO strategy_locks AS l (run_id, owner, fence, locked_until, last_slot, source, asked_at)
    SELECT id, %(owner)s, nextval('strategy_fence'),
           clock_timestamp() + %(ttl_s)s * interval '1 second', %(slot)s, %(source)s, %(asked_at)s
      FROM wanted ORDER BY id
    ON CONFLICT (run_id) DO UPDATE
       SET owner = excluded.owner, fence = nextval('strategy_fence'), previous_fence = l.fence,
           locked_until = clock_timestamp() + %(ttl_s)s * interval '1 second',
           previous_slot = coalesce(l.previous_slot, l.last_slot), last_slot = excluded.last_slot,
           source = excluded.source, asked_at = excluded.asked_at
     WHERE l.locked_until <= clock_timestamp() AND (l.last_slot IS NULL OR l.last_slot < excluded.last_slot)
       AND l.ticked_slot IS NOT DISTINCT FROM l.last_slot
    RETURNING run_id, fence, previous_fence, previous_slot
), installation AS MATERIALIZED (
    SELECT kill_switch, (runner_now() AT TIME ZONE 'UTC')::date AS today FROM platform_settings
)
SELECT w.id, w.user_id, c.fence, c.previous_fence, c.previous_slot, w.activated_at, w.version,
       i.kill_switch OR coalesce(a.kill_switch, false), coalesce(a.balance, 0), coalesce(a.used_margin, 0),
       i.today, d.realized_pnl_usdt, d.trades_count,
       u.streak, u.last_trade_at, u.paused_until, u.paused_reason,
       q.daily_max_loss_usdt, q.max_trades_per_day, q.max_consecutive_losses, q.cooldown_after_trade_s,
       q.pause_duration_min
  FROM claimed c
  JOIN wanted w ON w.id = c.run_id
 CROSS JOIN installation i
  LEFT JOIN accounts a ON a.id = w.account_id
  LEFT JOIN risk_users u ON u.user_id = w.user_id
  LEFT JOIN risk_days d ON d.user_id = w.user_id AND d.day = i.today
  LEFT JOIN risk_limits q ON q.user_id = w.user_id;

-- name: acquire_lease
-- Takes a run's lease without a slot; no row while another holds it.
INSERT INTO strategy_locks AS l (run_id, owner, fence, locked_until)
SELECT id, %(owner)s, nextval('strategy_fence'), clock_timestamp() + %(ttl_s)s * interval '1 second'
  FROM strategy_runs WHERE id = %(run_id)s
ON CONFLICT (run_id) DO UPDATE
   SET owner = excluded.owner, fence = nextval('strategy_fence'),
       locked_until = clock_timestamp() + %(ttl_s)s * interval '1 second'
 WHERE l.locked_until <= clock_timestamp()
RETURNING fence;

-- name: last_fences
-- The fence each of these runs was last decided for under; no row before its first lease.
SELECT run_id, fence FROM strategy_locks WHERE run_id = ANY(%(run_ids)s);

-- name: renew_lease
-- Lengthens a lease that is still held under this fence.
UPDATE strategy_locks SET locked_until = clock_timestamp() + %(ttl_s)s * interval '1 second'
 WHERE run_id = %(run_id)s AND fence = %(fence)s AND clock_timestamp() < locked_until;

-- name: release_leases
-- Ends the leases still held under these fences, rows locked in order.
WITH held AS MATERIALIZED (
    SELECT l.run_id FROM strategy_locks l
      JOIN unnest(%(run_ids)s::uuid[], %(fences)s::bigint[]) AS given (run_id, fence) ON given.run_id = l.run_id
     WHERE l.fence = given.fence AND clock_timestamp() < l.locked_until
     ORDER BY l.run_id FOR UPDATE OF l
)
UPDATE strategy_locks l SET locked_until = clock_timestamp() FROM held WHERE held.run_id = l.run_id;

-- name: leases
-- Every run's lease row, and for how many seconds the lease holds yet.
SELECT run_id, coalesce(owner, '') AS owner, fence,
       extract(epoch FROM greatest(locked_until, now_at - %(long_ago_s)s * interval '1 second') - now_at)::float8
           AS locked_s,
       last_slot, ticked_slot, previous_slot, source, asked_at
  FROM strategy_locks CROSS JOIN (SELECT clock_timestamp() AS now_at) AS clock
 ORDER BY run_id;

-- name: free_leases
-- End every running lease: whoever held one is known to be dead (decision 31).
UPDATE strategy_locks SET locked_until = clock_timestamp() WHERE locked_until > clock_timestamp();

-- name: insert_ticks
-- Stores tick rows that are not there yet and tells which those were. JSON is a fifth of the cost of arrays.
INSERT INTO strategy_tick_runs (run_id, user_id, slot, status, signal, reason, source, scheduled_at, finished_at,
                                latency_ms, worker, fence, asked_at, request_id, evaluation)
SELECT * FROM json_to_recordset(%(ticks)s::json)
    AS given (run_id uuid, user_id text, slot timestamptz, status text, signal text, reason text, source text,
              scheduled_at timestamptz, finished_at timestamptz, latency_ms float8, worker text, fence bigint, asked_at timestamptz,
              request_id text, evaluation uuid)
ON CONFLICT (run_id, slot) DO NOTHING
RETURNING run_id, slot;

-- name: copy_ticks
-- Stores many tick rows at once; fails when one is there already.
COPY strategy_tick_runs (run_id, user_id, slot, status, signal, reason, source, scheduled_at, finished_at,
                         latency_ms, worker, fence, asked_at, request_id, evaluation) FROM STDIN (FORMAT BINARY);

-- name: finish_ticks
-- Ends the leases of finished ticks by fence and notes what each run's tick came to; rows locked in order.
-- `ticked_slot` has its row; up to `previous_slot` every slot has: who cut a slot off may have taken rows of missed
-- ones with it, which the next claim then records again.
WITH done AS MATERIALIZED (
    SELECT l.run_id, given.fence, given.slot, given.status, given.reason, given.signal, given.finished_at
      FROM strategy_locks l
      JOIN json_to_recordset(%(ticks)s::json)
           AS given (run_id uuid, fence bigint, slot timestamptz, status text, reason text, signal text,
                     finished_at timestamptz)
        ON given.run_id = l.run_id
     ORDER BY l.run_id FOR UPDATE OF l
)
UPDATE strategy_locks l
   SET locked_until = CASE WHEN l.fence = d.fence THEN least(l.locked_until, clock_timestamp())
                           ELSE l.locked_until END,
       ticked_slot = greatest(l.ticked_slot, d.slot),
       previous_slot = CASE WHEN d.reason = 'interrupted' THEN l.previous_slot
                            ELSE greatest(l.previous_slot, d.slot) END,
       last_run_at = greatest(l.last_run_at, d.finished_at),
       last_status = CASE WHEN d.slot < l.ticked_slot THEN l.last_status ELSE d.status END,
       last_signal = CASE WHEN d.slot < l.ticked_slot THEN l.last_signal ELSE coalesce(d.signal, l.last_signal) END,
       last_signal_at = CASE WHEN d.slot < l.ticked_slot OR d.signal IS NULL THEN l.last_signal_at ELSE d.slot END
  FROM done d
 WHERE d.run_id = l.run_id;

-- name: known_runs
-- How many of these runs there are.
SELECT count(*) FROM strategy_runs WHERE id = ANY(%(run_ids)s);

-- name: insert_execution
-- Stores one evaluation; of a key and slot the first row wins, and the runs of other processes are added to it.
INSERT INTO strategy_executions AS e (evaluation_key, strategy_id, slot, worker, duration_ms, status, action, price,
                                      reason, indicators, runs_reached, nodes_executed, error, used_ms, limit_ms,
                                      reached)
VALUES (%(evaluation_key)s, %(strategy_id)s, %(slot)s, %(worker)s, %(duration_ms)s, %(status)s, %(action)s,
        %(price)s, %(reason)s, %(indicators)s, %(runs_reached)s, %(nodes_executed)s, %(error)s, %(used_ms)s,
        %(limit_ms)s, jsonb_build_object(%(worker)s::text, %(runs_reached)s::integer))
ON CONFLICT (evaluation_key, slot) DO UPDATE
   SET reached = coalesce(e.reached, jsonb_build_object(e.worker, e.runs_reached)) || excluded.reached,
       runs_reached = (SELECT sum(runs::integer) FROM jsonb_each_text(
           coalesce(e.reached, jsonb_build_object(e.worker, e.runs_reached)) || excluded.reached) AS by (worker, runs))
 WHERE e.worker <> excluded.worker;

-- name: add_reached
-- Notes how many runs of a process share an evaluation by now.
UPDATE strategy_executions e
   SET reached = with_them.reached,
       runs_reached = (SELECT sum(runs::integer) FROM jsonb_each_text(with_them.reached) AS by (worker, runs))
  FROM (SELECT coalesce(reached, jsonb_build_object(worker, runs_reached))
               || jsonb_build_object(%(worker)s::text, %(runs)s::integer) AS reached
          FROM strategy_executions WHERE evaluation_key = %(evaluation_key)s AND slot = %(slot)s FOR UPDATE) AS with_them
 WHERE e.evaluation_key = %(evaluation_key)s AND e.slot = %(slot)s;

-- name: insert_print
-- Keeps what an evaluation's code printed.
INSERT INTO execution_prints (strategy_id, user_id, evaluation_key, slot, printed)
VALUES (%(strategy_id)s, %(user_id)s, %(evaluation_key)s, %(slot)s, %(printed)s)
ON CONFLICT DO NOTHING;

-- name: forget_prints
-- Takes out all but the newest prints of these strategies.
DELETE FROM execution_prints WHERE number = ANY (ARRAY(
    SELECT p.number FROM unnest(%(strategy_ids)s::uuid[]) AS given (id)
     CROSS JOIN LATERAL (SELECT number FROM execution_prints WHERE strategy_id = given.id
                          ORDER BY slot DESC, evaluation_key DESC OFFSET %(kept)s LIMIT 1000) AS p));

-- name: insert_warning
-- Notes a warning of a version, once for each kind; whether it is new.
INSERT INTO strategy_warnings (strategy_id, version, kind, user_id, slot, detail)
VALUES (%(strategy_id)s, %(version)s, %(kind)s, %(user_id)s, %(slot)s, %(detail)s)
ON CONFLICT DO NOTHING RETURNING kind;

-- name: insert_candles
-- Stores closed candles of one series; those that are there already stay.
INSERT INTO candles (venue, market, symbol, timeframe, open_time, open, high, low, close, volume, taker_buy_volume)
SELECT %(venue)s, %(market)s, %(symbol)s, %(timeframe)s, given.*
  FROM unnest(%(open_time)s::timestamptz[], %(open)s::float8[], %(high)s::float8[], %(low)s::float8[], %(close)s::float8[],
              %(volume)s::float8[], %(taker_buy_volume)s::float8[]) AS given
ON CONFLICT DO NOTHING;

-- name: insert_candle
-- Stores one closed candle; of one reported twice the first stays.
INSERT INTO candles (venue, market, symbol, timeframe, open_time, open, high, low, close, volume, taker_buy_volume)
VALUES (%(venue)s, %(market)s, %(symbol)s, %(timeframe)s, %(open_time)s, %(open)s, %(high)s, %(low)s, %(close)s,
        %(volume)s, %(taker_buy_volume)s)
ON CONFLICT DO NOTHING;

-- name: list_candles
-- Candles of a series from a time on, oldest first.
SELECT open_time, open, high, low, close, volume, taker_buy_volume FROM candles
 WHERE venue = %(venue)s AND market = %(market)s AND symbol = %(symbol)s AND timeframe = %(timeframe)s
   AND open_time >= %(since)s
 ORDER BY open_time LIMIT %(limit)s;

-- name: insert_signals
-- Stores signals that are not there yet and tells which those were.
WITH stored AS (
    INSERT INTO signals (run_id, user_id, slot, strategy_id, symbol, action, score, said, at)
    SELECT r.id, r.user_id, given.slot, r.strategy_id, r.symbol, given.action, given.score, given.said, runner_now()
      FROM unnest(%(run_id)s::uuid[], %(slot)s::timestamptz[], %(action)s::text[], %(score)s::float8[],
                  %(said)s::jsonb[]) AS given (run_id, slot, action, score, said)
      JOIN strategy_runs r ON r.id = given.run_id
    ON CONFLICT (run_id, slot) DO NOTHING
    RETURNING run_id, slot, symbol, strategy_id
)
SELECT stored.run_id, stored.slot, stored.symbol, stored.strategy_id, s.name
  FROM stored JOIN strategies s ON s.id = stored.strategy_id;

-- name: insert_signal_events
-- Appends an event for each signal, runs locked in order of user and run.
INSERT INTO strategy_events (user_id, run_id, type, at, payload)
SELECT user_id, run_id, 'signal', %(at)s, payload
  FROM unnest(%(user_id)s::text[], %(run_id)s::uuid[], %(payload)s::jsonb[]) AS given (user_id, run_id, payload)
 ORDER BY user_id, run_id;

-- name: interrupted_slots
-- Claimed slots without a tick row whose lease ran out a while ago, locked.
SELECT l.run_id, r.user_id, l.last_slot AS slot, l.fence, coalesce(l.owner, '') AS owner, l.source, l.asked_at,
       runner_now() AS now
  FROM strategy_locks l JOIN strategy_runs r ON r.id = l.run_id
 WHERE l.last_slot IS NOT NULL AND l.ticked_slot IS DISTINCT FROM l.last_slot
   AND l.locked_until <= clock_timestamp() - %(older_than_s)s * interval '1 second'
   AND NOT EXISTS (SELECT FROM strategy_tick_runs t WHERE t.run_id = l.run_id AND t.slot = l.last_slot)
 ORDER BY l.run_id FOR UPDATE OF l SKIP LOCKED;

-- name: abandoned_slots
-- Of these runs the slots before this one that were claimed and left without a tick row, locked.
SELECT l.run_id, r.user_id, l.last_slot AS slot, l.fence, coalesce(l.owner, '') AS owner, l.source, l.asked_at,
       runner_now() AS now
  FROM strategy_locks l JOIN strategy_runs r ON r.id = l.run_id
 WHERE l.run_id = ANY(%(run_ids)s) AND l.last_slot < %(slot)s AND l.ticked_slot IS DISTINCT FROM l.last_slot
   AND l.locked_until <= clock_timestamp()
 ORDER BY l.run_id FOR UPDATE OF l;

-- name: pending_runs
-- How many runs that tick by themselves have this slot and no tick row for it, by schedule: which may skip it.
SELECT r.schedule, count(*) AS runs FROM run_rows r
 WHERE r.status = 'active' AND r.execution_mode <> 'MANUAL' AND r.kind <> 'external'
   AND extract(epoch FROM %(slot)s)::bigint %% r.timeframe_s = 0
   AND NOT EXISTS (SELECT FROM strategy_tick_runs t WHERE t.run_id = r.id AND t.slot = %(slot)s)
 GROUP BY r.schedule;

-- name: list_ticks
-- Tick rows, newest first.
SELECT run_id, user_id, slot, status, signal, reason, source, scheduled_at, finished_at, latency_ms, worker, fence,
       asked_at, request_id, evaluation
  FROM strategy_tick_runs
 WHERE (%(run_id)s::uuid IS NULL OR run_id = %(run_id)s) AND (%(status)s::text IS NULL OR status = %(status)s)
   AND (%(since)s::timestamptz IS NULL OR slot >= %(since)s) AND (%(slot)s::timestamptz IS NULL OR slot = %(slot)s)
   AND (%(source)s::text IS NULL OR source = %(source)s)
   AND (%(before_slot)s::timestamptz IS NULL OR (slot, run_id) < (%(before_slot)s, %(before_run)s::uuid))
 ORDER BY slot DESC, run_id DESC LIMIT %(limit)s;

-- name: slot_counts
-- What the ticks of a slot came to.
SELECT status, count(*) FROM strategy_tick_runs WHERE slot = %(slot)s GROUP BY status;

-- name: insert_lost_triggers
-- Notes an ask that lost for many runs; the first of a source and node stays.
INSERT INTO strategy_tick_triggers (run_id, slot, source, node, asked_at)
SELECT run_id, %(slot)s, %(source)s, %(node)s, %(asked_at)s FROM unnest(%(run_ids)s::uuid[]) AS given (run_id)
ON CONFLICT DO NOTHING;

-- name: list_lost_triggers
-- Asks that lost for these ticks, the earliest first; the winner's own repetitions are none.
SELECT t.run_id, t.slot, t.source, t.node, t.asked_at
  FROM unnest(%(run_ids)s::uuid[], %(slots)s::timestamptz[], %(sources)s::text[], %(nodes)s::text[])
       AS won (run_id, slot, source, node)
  JOIN strategy_tick_triggers t ON t.run_id = won.run_id AND t.slot = won.slot
 WHERE (t.source, t.node) <> (won.source, won.node)
 ORDER BY t.asked_at, t.source, t.node;
