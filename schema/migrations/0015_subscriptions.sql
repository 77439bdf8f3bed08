-- Runs made by subscribing, runs that are to be archived once they are flat, strategies that have been archived.

ALTER TABLE strategy_runs
    ADD COLUMN subscribed boolean NOT NULL DEFAULT false,
    ADD COLUMN ending boolean NOT NULL DEFAULT false;
CREATE INDEX strategy_runs_ending ON strategy_runs (id) WHERE ending AND status <> 'archived';

ALTER TABLE strategies ADD COLUMN archived_at timestamptz;
CREATE INDEX strategies_for_all ON strategies (created_at, id) WHERE visibility <> 'private' AND archived_at IS NULL;
