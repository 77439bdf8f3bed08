-- A stop that follows the price, and what becomes of a position whose stop is missing at its venue.

ALTER TABLE strategy_runs
    ADD COLUMN trailing_callback_pct numeric CHECK (trailing_callback_pct BETWEEN 0.1 AND 10),
    ADD COLUMN trailing_activation_pct numeric NOT NULL DEFAULT 0
        CHECK (trailing_activation_pct >= 0 AND trailing_activation_pct < 100),
    ADD COLUMN missing_stop text NOT NULL DEFAULT 'repair' CHECK (missing_stop IN ('repair', 'close'));

ALTER TABLE orders
    ADD COLUMN trailing_callback_pct numeric CHECK (trailing_callback_pct > 0),
    ADD COLUMN trailing_activation_pct numeric NOT NULL DEFAULT 0 CHECK (trailing_activation_pct >= 0),
    DROP CONSTRAINT orders_leg_check,
    ADD CONSTRAINT orders_leg_check CHECK (
        leg IN ('exit', 'entry', 'flatten', 'repair', 'take_profit', 'stop_loss', 'trailing_stop', 'liquidation',
                'adl', 'settlement', 'manual'));

-- `trail_best`: the best price since the activation, which a paper account trails from here; a live venue does itself.
-- `standing_trail`: in the venue's own measure, percent or distance.
ALTER TABLE positions
    ADD COLUMN trail_pct numeric CHECK (trail_pct > 0),
    ADD COLUMN trail_from numeric CHECK (trail_from > 0),
    ADD COLUMN trail_best numeric CHECK (trail_best > 0),
    ADD COLUMN standing_trail numeric CHECK (standing_trail > 0),
    ADD CONSTRAINT positions_trail_whole CHECK ((trail_pct IS NULL) = (trail_from IS NULL)),
    ADD CONSTRAINT positions_trail_best CHECK (trail_best IS NULL OR trail_pct IS NOT NULL);

CREATE OR REPLACE VIEW run_rows AS
SELECT r.id, r.user_id, r.account_id, r.trading_mode, r.execution_mode, r.schedule, r.direction, r.leverage,
       r.margin_mode, r.position_mode, r.capital, r.size_by, r.order_size_pct, r.risk_pct, r.take_profit_pct,
       r.stop_loss_pct, r.status, r.status_reason, r.adapter_errors, r.version, r.activated_at, r.created_at,
       r.number, l.last_slot, r.strategy_id, s.owner_id, s.name, v.template, v.parameters, v.symbol, v.timeframe,
       v.timeframe_s, v.version AS strategy_version, s.kind, v.venue, v.market, s.visibility, s.description,
       l.last_run_at, l.last_status, l.last_signal, l.last_signal_at,
       r.trailing_callback_pct, r.trailing_activation_pct, r.missing_stop
  FROM strategy_runs r
  JOIN strategies s ON s.id = r.strategy_id
  JOIN strategy_versions v ON v.strategy_id = s.id AND v.version = s.latest_version
  LEFT JOIN strategy_locks l ON l.run_id = r.id;
