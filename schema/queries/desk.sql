-- What owners and subscribers change about strategies and runs.

-- name: lock_strategy
-- Locks a strategy that is not archived and tells its latest version.
SELECT id FROM strategies WHERE id = %(id)s AND archived_at IS NULL FOR NO KEY UPDATE;

-- name: lock_runs_of
-- Locks the runs of a strategy that are not archived, by id.
SELECT id FROM strategy_runs WHERE strategy_id = %(strategy_id)s AND status <> 'archived'
 ORDER BY id FOR NO KEY UPDATE;

-- name: save_revision
-- Makes a stored version the one that is followed.
UPDATE strategies SET name = %(name)s, description = %(description)s, visibility = %(visibility)s,
       latest_version = %(version)s
 WHERE id = %(id)s;

-- name: follow_revision
-- Raises the versions of a strategy's runs, which trade its symbol.
UPDATE strategy_runs SET version = version + 1, symbol = %(symbol)s WHERE id = ANY(%(run_ids)s);

-- name: archive_strategy
-- Takes a strategy out of every list.
UPDATE strategies SET archived_at = runner_now() WHERE id = %(id)s;

-- name: save_run_settings
-- How a run trades; the row's version rises.
UPDATE strategy_runs
   SET direction = %(direction)s, leverage = %(leverage)s, margin_mode = %(margin_mode)s,
       position_mode = %(position_mode)s, capital = %(capital)s, size_by = %(size_by)s,
       order_size_pct = %(order_size_pct)s, risk_pct = %(risk_pct)s, take_profit_pct = %(take_profit_pct)s,
       stop_loss_pct = %(stop_loss_pct)s, trailing_callback_pct = %(trailing_callback_pct)s,
       trailing_activation_pct = %(trailing_activation_pct)s, missing_stop = %(missing_stop)s,
       version = version + 1
 WHERE id = %(id)s;

-- name: mark_subscribed
-- Notes that a run was made by subscribing.
UPDATE strategy_runs SET subscribed = true WHERE id = %(id)s;

-- name: set_ending
-- Notes that a run is to be archived when it can be; no row where that is known.
UPDATE strategy_runs SET ending = true WHERE id = %(id)s AND NOT ending;

-- name: ending_runs
-- Cancelled runs that are flat, without an open order, and not archived yet.
SELECT r.id FROM strategy_runs r
 WHERE r.ending AND r.status <> 'archived'
   AND NOT EXISTS (SELECT FROM positions p WHERE p.run_id = r.id AND p.quantity <> 0)
   AND NOT EXISTS (SELECT FROM orders o WHERE o.run_id = r.id
                      AND o.status IN ('intent', 'submitted', 'partial', 'unknown'))
 ORDER BY r.id LIMIT %(limit)s;
