-- Which request an event comes of: sealed with the rest of its content, so it is put in before number and seal.
CREATE FUNCTION name_request() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.payload := NEW.payload || jsonb_build_object('request_id', current_setting('runner.request_id'));
    RETURN NEW;
END $$;
-- Triggers fire in the order of their names. Without a request its condition is all that it costs.
CREATE TRIGGER strategy_events_cause BEFORE INSERT ON strategy_events FOR EACH ROW
    WHEN (current_setting('runner.request_id', true) <> '') EXECUTE FUNCTION name_request();

-- And the tick that a request asked for.
ALTER TABLE strategy_tick_runs ADD COLUMN request_id text;
