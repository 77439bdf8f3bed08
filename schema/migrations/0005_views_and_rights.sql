-- Read-only views for SQL written against earlier tables, and what the service's role may do.

CREATE VIEW strategy_logs AS
SELECT e.id, e.user_id, e.run_id, r.strategy_id, e.seq, e.type AS event_type,
       CASE WHEN e.type IN ('error', 'risk_block') THEN 'error'
            WHEN e.type = 'signal' THEN 'signal'
            WHEN e.type LIKE 'order%' OR e.type LIKE 'trade%' THEN 'trade'
            ELSE 'info' END AS level,
       e.payload, e.at AS created_at
  FROM strategy_events e LEFT JOIN strategy_runs r ON r.id = e.run_id;

CREATE VIEW market_data AS
SELECT venue, market, symbol, timeframe, open_time AS "timestamp", open, high, low, close, volume,
       taker_buy_volume, trade_count
  FROM candles;

CREATE VIEW strategy_execution_logs AS
SELECT evaluation_key, strategy_id, slot, worker, duration_ms, nodes_executed, status, action AS signal, price,
       reason, indicators, runs_reached, error, stored_at AS created_at
  FROM strategy_executions;

CREATE VIEW paper_trades AS
SELECT t.id, t.run_id, t.user_id, t.account_id AS portfolio_id, t.symbol, t.side, t.quantity, t.entry_time,
       t.entry_price, t.exit_time, t.exit_price, t.fees, t.funding, t.pnl, t.exit_reason
  FROM trades t JOIN accounts a ON a.id = t.account_id WHERE a.kind = 'portfolio';

CREATE VIEW paper_portfolios AS
SELECT id, user_id, name, bankroll, balance, used_margin, balance - bankroll AS realized_pnl, created_at
  FROM portfolios;

REVOKE EXECUTE ON FUNCTION ensure_partitions(timestamptz, timestamptz) FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION drop_partitions_before(timestamptz) FROM PUBLIC;

DO $$ BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'runner_service') THEN
        GRANT USAGE ON SCHEMA public TO runner_service;
        GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO runner_service;
        GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO runner_service;
        GRANT EXECUTE ON FUNCTION ensure_partitions(timestamptz, timestamptz) TO runner_service;
        GRANT EXECUTE ON FUNCTION drop_partitions_before(timestamptz) TO runner_service;
        -- Triggers refuse these too; the role cannot even ask.
        REVOKE UPDATE, DELETE ON strategy_events, fills, trades FROM runner_service;
        REVOKE DELETE ON orders, positions, risk_users, risk_days, platform_settings FROM runner_service;
        REVOKE INSERT, UPDATE, DELETE ON platform_settings, monthly_tables FROM runner_service;
        GRANT UPDATE ON platform_settings TO runner_service;
        REVOKE INSERT, UPDATE, DELETE ON strategy_logs, market_data, strategy_execution_logs, paper_trades,
            paper_portfolios, portfolios, exchange_connections, run_rows, strategy_risk_state FROM runner_service;
        IF to_regclass('schema_migrations') IS NOT NULL THEN
            REVOKE INSERT, UPDATE, DELETE ON schema_migrations FROM runner_service;
        END IF;
    END IF;
END $$;
