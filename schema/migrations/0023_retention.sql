-- What retention takes: whole months of ticks, events, signals and lost asks; old executions and candles in batches.

-- When a candle came, so that old ones that were downloaded lately stay. Rows from before have none, and are as old
-- as what they tell of.
ALTER TABLE candles ADD COLUMN stored_at timestamptz;
ALTER TABLE candles ALTER COLUMN stored_at SET DEFAULT runner_now();

-- Monthly partitions that ended before an instant, the oldest first.
CREATE FUNCTION months_before(instant timestamptz) RETURNS SETOF text LANGUAGE sql STABLE AS $$
    SELECT c.relname::text FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
      JOIN pg_class p ON p.oid = i.inhparent JOIN monthly_tables m ON m.name = p.relname
     WHERE c.relnamespace = 'public'::regnamespace AND right(c.relname, 6) ~ '^\d{6}$'
       AND (to_date(right(c.relname, 6), 'YYYYMM') + interval '1 month') AT TIME ZONE 'UTC' <= instant
     ORDER BY right(c.relname, 6), c.relname
$$;

-- The only way an event ever leaves. Of a month of events, the links that go with it are noted first.
CREATE FUNCTION drop_month(child text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM months_before(runner_now() - interval '1 day') AS month WHERE month = child) THEN
        RAISE EXCEPTION '% is no month that has ended', child;
    END IF;
    IF child ~ '^strategy_events_\d{6}$' THEN
        EXECUTE format('INSERT INTO dropped_links (user_id, link)
                        SELECT user_id, max(link) FROM %I WHERE link IS NOT NULL GROUP BY user_id ORDER BY user_id
                            ON CONFLICT (user_id) DO UPDATE SET link = greatest(dropped_links.link, excluded.link)',
                       child);
    END IF;
    EXECUTE format('DROP TABLE %I', child);
END $$;

CREATE OR REPLACE FUNCTION drop_partitions_before(instant timestamptz) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    child text;
    dropped integer := 0;
BEGIN
    IF instant > runner_now() - interval '1 day' THEN
        RAISE EXCEPTION 'retention of less than a day is refused';
    END IF;
    FOR child IN SELECT months_before(instant) LOOP
        PERFORM drop_month(child);
        dropped := dropped + 1;
    END LOOP;
    RETURN dropped;
END $$;

REVOKE EXECUTE ON FUNCTION drop_month(text) FROM PUBLIC;
DO $$ BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'runner_service') THEN
        GRANT EXECUTE ON FUNCTION drop_month(text) TO runner_service;
    END IF;
END $$;
