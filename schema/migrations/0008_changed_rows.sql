-- Which transaction changed a run or a strategy last, so that who keeps in step reads only what has changed since.
-- A time would not do: a row may be committed long after the time written in it, behind the back of who has read on.

ALTER TABLE strategy_runs ADD COLUMN changed_by xid8 NOT NULL DEFAULT pg_current_xact_id();
ALTER TABLE strategies ADD COLUMN changed_by xid8 NOT NULL DEFAULT pg_current_xact_id();
CREATE INDEX strategy_runs_by_change ON strategy_runs (changed_by);

CREATE FUNCTION note_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.changed_by := pg_current_xact_id();
    RETURN NEW;
END $$;
-- The event counter moves with every fill and is nobody's news.
CREATE TRIGGER strategy_runs_changed BEFORE UPDATE OF status, version ON strategy_runs
    FOR EACH ROW EXECUTE FUNCTION note_change();
CREATE TRIGGER strategies_changed BEFORE UPDATE ON strategies
    FOR EACH ROW EXECUTE FUNCTION note_change();
