-- Strategies beyond the built-in ones: each version carries the text it is made of, code or a graph as JSON.
ALTER TABLE strategies
    DROP CONSTRAINT strategies_kind_check,
    ADD CONSTRAINT strategies_kind_check
        CHECK (kind IN ('template', 'graph', 'python', 'javascript', 'typescript', 'external'));

ALTER TABLE strategy_versions
    ADD COLUMN source text NOT NULL DEFAULT '' CHECK (length(source) <= 200000);

CREATE OR REPLACE VIEW run_rows AS
SELECT r.id, r.user_id, r.account_id, r.trading_mode, r.execution_mode, r.schedule, r.direction, r.leverage,
       r.margin_mode, r.position_mode, r.capital, r.size_by, r.order_size_pct, r.risk_pct, r.take_profit_pct,
       r.stop_loss_pct, r.status, r.status_reason, r.adapter_errors, r.version, r.activated_at, r.created_at,
       r.number, l.last_slot, r.strategy_id, s.owner_id, s.name, v.template, v.parameters, v.symbol, v.timeframe,
       v.timeframe_s, v.version AS strategy_version, s.kind, v.venue, v.market, s.visibility, s.description,
       l.last_run_at, l.last_status, l.last_signal, l.last_signal_at,
       r.trailing_callback_pct, r.trailing_activation_pct, r.missing_stop, v.source
  FROM strategy_runs r
  JOIN strategies s ON s.id = r.strategy_id
  JOIN strategy_versions v ON v.strategy_id = s.id AND v.version = s.latest_version
  LEFT JOIN strategy_locks l ON l.run_id = r.id;
