-- The trigger ledger: who asked first for a run's slot and when, and who came later and lost.

ALTER TABLE strategy_tick_runs ADD COLUMN asked_at timestamptz;

-- The claim's asker, for the row of a slot that is cut off before it has one.
ALTER TABLE strategy_locks
    ADD COLUMN source text CHECK (source IN ('timer', 'candle', 'cron', 'operator')),
    ADD COLUMN asked_at timestamptz;

-- Written after the ticks, in batches; a row here decides nothing.
INSERT INTO monthly_tables VALUES ('strategy_tick_triggers');
CREATE TABLE strategy_tick_triggers (
    run_id uuid NOT NULL,
    slot timestamptz NOT NULL,
    source text NOT NULL CHECK (source IN ('timer', 'candle', 'cron', 'operator')),
    node text NOT NULL,
    asked_at timestamptz NOT NULL,
    PRIMARY KEY (run_id, slot, source, node)
) PARTITION BY RANGE (slot);

DO $$ BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'runner_service') THEN
        GRANT SELECT, INSERT ON strategy_tick_triggers TO runner_service;
    END IF;
END $$;
