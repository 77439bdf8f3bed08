-- Signals from outside, and the runs they are owed to.

-- name: lock_external_strategy
-- The strategy a signal comes for, not archived, locked: signals of one strategy are received one after the other.
SELECT owner_id, kind, latest_version FROM strategies
 WHERE id = %(strategy_id)s AND archived_at IS NULL FOR NO KEY UPDATE;

-- name: external_signal_of_key
-- What came under this key before.
SELECT id, strategy_id, user_id, strategy_version, key, received_at, slot, expires_at, content, runs
  FROM external_signals WHERE strategy_id = %(strategy_id)s AND key = %(key)s;

-- name: last_external_slot
-- The slot of the strategy's latest signal.
SELECT max(slot) FROM external_signals WHERE strategy_id = %(strategy_id)s;

-- name: insert_external_signal
-- Stores a signal, owed to every active run of its strategy.
WITH owed AS MATERIALIZED (
    SELECT id, user_id FROM strategy_runs WHERE strategy_id = %(strategy_id)s AND status = 'active'
), stored AS (
    INSERT INTO external_signals (id, strategy_id, user_id, strategy_version, key, received_at, slot, expires_at,
                                  content, runs)
    SELECT %(id)s, %(strategy_id)s, %(user_id)s, %(strategy_version)s, %(key)s, %(received_at)s, %(slot)s,
           %(expires_at)s, %(content)s, (SELECT count(*) FROM owed)
    RETURNING id, slot, expires_at, runs
), deliveries AS (
    INSERT INTO external_deliveries (run_id, slot, signal_id, user_id, expires_at)
    SELECT owed.id, stored.slot, stored.id, owed.user_id, stored.expires_at FROM owed CROSS JOIN stored
)
SELECT runs FROM stored;

-- name: due_external_signals
-- For each of these runs the earliest signal it is owed and has no row for.
SELECT s.id, s.strategy_id, s.user_id, s.strategy_version, s.key, s.received_at, s.slot, s.expires_at, s.content, s.runs,
       array_agg(owed.run_id ORDER BY owed.run_id) AS run_ids
  FROM (SELECT DISTINCT ON (d.run_id) d.run_id, d.signal_id FROM external_deliveries d
         WHERE d.run_id = ANY(%(run_ids)s)
           AND NOT EXISTS (SELECT FROM strategy_tick_runs t WHERE t.run_id = d.run_id AND t.slot = d.slot)
         ORDER BY d.run_id, d.slot) AS owed
  JOIN external_signals s ON s.id = owed.signal_id
 GROUP BY s.id ORDER BY s.slot, s.id;

-- name: restore_lock_rows
-- A lease row that was deleted comes back, so that what its run is owed is not kept for ever.
INSERT INTO strategy_locks (run_id)
SELECT DISTINCT d.run_id FROM external_deliveries d
 WHERE NOT EXISTS (SELECT FROM strategy_locks l WHERE l.run_id = d.run_id)
ON CONFLICT DO NOTHING;

-- name: overdue_deliveries
-- Signals that runs did not get in time and that nobody is at work on, their lease rows locked. None behind an earlier
-- one that may still be claimed: slots are claimed in their order.
SELECT d.run_id, d.user_id, d.slot, s.received_at, r.status = 'active' AS active
  FROM external_deliveries d
  JOIN external_signals s ON s.id = d.signal_id
  JOIN strategy_runs r ON r.id = d.run_id
  JOIN strategy_locks l ON l.run_id = d.run_id
 WHERE d.expires_at <= %(now)s AND l.locked_until <= clock_timestamp()
   AND l.ticked_slot IS NOT DISTINCT FROM l.last_slot
   AND NOT EXISTS (SELECT FROM strategy_tick_runs t WHERE t.run_id = d.run_id AND t.slot = d.slot)
   AND NOT EXISTS (SELECT FROM external_deliveries e
                    WHERE e.run_id = d.run_id AND e.slot < d.slot AND e.expires_at > %(now)s
                      AND NOT EXISTS (SELECT FROM strategy_tick_runs t WHERE t.run_id = e.run_id AND t.slot = e.slot))
 ORDER BY d.run_id, d.slot LIMIT %(limit)s FOR UPDATE OF l SKIP LOCKED;

-- name: close_overdue_slots
-- Nobody claims these slots any more: they have their rows.
UPDATE strategy_locks l
   SET last_slot = given.slot, ticked_slot = given.slot,
       previous_slot = greatest(l.previous_slot, given.slot)
  FROM (SELECT run_id, max(slot) AS slot
          FROM unnest(%(run_ids)s::uuid[], %(slots)s::timestamptz[]) AS each (run_id, slot) GROUP BY run_id) AS given
 WHERE l.run_id = given.run_id AND (l.last_slot IS NULL OR l.last_slot < given.slot);

-- name: delete_settled_deliveries
-- Nothing is owed where the slot has its row; some at a time.
DELETE FROM external_deliveries WHERE ctid = ANY (ARRAY(
    SELECT d.ctid FROM external_deliveries d
     WHERE EXISTS (SELECT FROM strategy_tick_runs t WHERE t.run_id = d.run_id AND t.slot = d.slot)
     LIMIT %(limit)s));

-- name: delete_old_external_signals
-- Forgets some signals, and their keys, that were received long ago and are owed to nobody.
DELETE FROM external_signals WHERE id = ANY (ARRAY(
    SELECT s.id FROM external_signals s
     WHERE s.received_at < %(before)s AND NOT EXISTS (SELECT FROM external_deliveries d WHERE d.signal_id = s.id)
     ORDER BY s.received_at LIMIT %(limit)s));

-- name: external_signals_of
-- Signals a user has sent to a strategy, newest first.
SELECT s.id, s.strategy_id, s.user_id, s.strategy_version, s.key, s.received_at, s.slot, s.expires_at, s.content, s.runs
  FROM external_signals s
 WHERE s.strategy_id = %(strategy_id)s AND s.user_id = %(user_id)s
   AND (%(before)s::timestamptz IS NULL OR s.slot < %(before)s)
 ORDER BY s.slot DESC LIMIT %(limit)s;
