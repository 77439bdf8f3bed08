-- What holds for the whole installation: switch, version, market time, processes, the record of months.

CREATE TABLE platform_settings (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    kill_switch boolean NOT NULL DEFAULT false,
    kill_switch_reason text,
    minimum_version text,
    demo boolean NOT NULL DEFAULT false,
    anchor_market timestamptz NOT NULL DEFAULT clock_timestamp(),
    anchor_process timestamptz NOT NULL DEFAULT clock_timestamp(),
    rate double precision NOT NULL DEFAULT 1 CHECK (rate >= 0 AND rate < 'infinity'),
    ceiling timestamptz
);
INSERT INTO platform_settings DEFAULT VALUES;

-- Market time. plpgsql keeps the plan, and being volatile it reads the settings anew at every call.
CREATE FUNCTION runner_now() RETURNS timestamptz LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    market timestamptz;
BEGIN
    SELECT CASE WHEN demo
                THEN least(anchor_market + (clock_timestamp() - anchor_process) * rate, ceiling)
                ELSE clock_timestamp() END
      INTO STRICT market FROM platform_settings;
    RETURN market;
END $$;

CREATE FUNCTION guard_platform_settings() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        RAISE EXCEPTION 'the platform settings cannot be deleted' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF OLD.demo AND NOT NEW.demo THEN
        RAISE EXCEPTION 'a demo database stays one' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF NEW.kill_switch IS DISTINCT FROM OLD.kill_switch THEN
        -- Waits for every transaction that read the switch under `kill_switch_shared` (I8).
        PERFORM pg_advisory_xact_lock(1263094604);
        PERFORM pg_notify('kill_switch', '');
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER platform_settings_guard BEFORE UPDATE OR DELETE ON platform_settings
    FOR EACH ROW EXECUTE FUNCTION guard_platform_settings();

-- The switch as it stands until this transaction ends: no change of it can commit in between. An advisory
-- lock, because a share lock on the one row would be written by every intent and meet every clock change.
CREATE FUNCTION kill_switch_shared() RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(1263094604);
    RETURN (SELECT kill_switch FROM platform_settings);
END $$;

CREATE TABLE runner_nodes (
    id text PRIMARY KEY,
    version text NOT NULL,
    beat_at timestamptz NOT NULL
);

-- Tables kept by month are named here; a migration that makes one adds it.
CREATE TABLE monthly_tables (name text PRIMARY KEY);

-- Partitions for every month between two instants of market time. Runs as the owner: the service makes no tables.
CREATE FUNCTION ensure_partitions(first timestamptz, last timestamptz) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    month timestamp := date_trunc('month', first AT TIME ZONE 'UTC');
    parent text;
    child text;
    made integer := 0;
BEGIN
    IF last - first > interval '400 days' THEN
        RAISE EXCEPTION 'partitions for % to % are too many at once', first, last;
    END IF;
    WHILE month <= last AT TIME ZONE 'UTC' LOOP
        FOR parent IN SELECT name FROM monthly_tables ORDER BY name LOOP
            child := format('%s_%s', parent, to_char(month, 'YYYYMM'));
            CONTINUE WHEN to_regclass(child) IS NOT NULL;
            PERFORM pg_advisory_xact_lock(1296128077);
            CONTINUE WHEN to_regclass(child) IS NOT NULL;
            -- Made apart and attached: the parent stays open to readers and writers meanwhile.
            EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', child, parent);
            EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', parent, child,
                           month AT TIME ZONE 'UTC', (month + interval '1 month') AT TIME ZONE 'UTC');
            made := made + 1;
        END LOOP;
        month := month + interval '1 month';
    END LOOP;
    RETURN made;
END $$;

-- Retention: whole months that ended before an instant go; the only way an event ever leaves.
CREATE FUNCTION drop_partitions_before(instant timestamptz) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    child text;
    dropped integer := 0;
BEGIN
    IF instant > runner_now() - interval '1 day' THEN
        RAISE EXCEPTION 'retention of less than a day is refused';
    END IF;
    FOR child IN
        SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
          JOIN pg_class p ON p.oid = i.inhparent JOIN monthly_tables m ON m.name = p.relname
         WHERE c.relnamespace = 'public'::regnamespace AND right(c.relname, 6) ~ '^\d{6}$'
           AND (to_date(right(c.relname, 6), 'YYYYMM') + interval '1 month') AT TIME ZONE 'UTC' <= instant
         ORDER BY c.relname
    LOOP
        EXECUTE format('DROP TABLE %I', child);
        dropped := dropped + 1;
    END LOOP;
    RETURN dropped;
END $$;
