-- A second wall between users: what is read for one of them is read by a role that sees their rows alone.
--
-- Queries name the user (I12); where one forgets to, `runner_reader` still sees nothing of anybody else's. Reads for a
-- user take that role and say who it is, both until their transaction ends (schema/pg_database.py, `read_as`). The role
-- that works for everybody passes the wall: owning the tables, or by BYPASSRLS; the tick path pays nothing for it.

CREATE FUNCTION raise_walls() RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    found record;
    sees text;
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'runner_reader') THEN
        -- On a server of the operator's, whoever migrates makes it where they may.
        IF NOT (SELECT rolcreaterole OR rolsuper FROM pg_roles WHERE rolname = current_user) THEN
            RETURN false;
        END IF;
        CREATE ROLE runner_reader NOLOGIN;
        EXECUTE format('GRANT runner_reader TO %I', current_user);
    END IF;
    -- A service that would be stopped by the wall has to be let through first.
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'runner_service' AND NOT (rolbypassrls OR rolsuper)) THEN
        RETURN false;
    END IF;
    GRANT USAGE ON SCHEMA public TO runner_reader;
    FOR found IN
        SELECT c.oid::regclass AS name, c.relname, c.relrowsecurity AS walled,
               (SELECT array_agg(a.attname::text) FROM pg_attribute a
                 WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) AS columns,
               EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = c.oid AND p.polname = 'seen_by_reader') AS told
          FROM pg_class c
         WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
           AND c.relname <> 'schema_migrations'
         ORDER BY c.relname
    LOOP
        sees := CASE
            WHEN 'user_id' = ANY (found.columns) THEN 'user_id = current_setting(''runner.user'', true)'
            WHEN found.relname = 'strategies' THEN
                'owner_id = current_setting(''runner.user'', true) OR visibility <> ''private'''
                ' OR EXISTS (SELECT FROM strategy_runs r WHERE r.strategy_id = strategies.id)'
            WHEN 'run_id' = ANY (found.columns) THEN
                format('EXISTS (SELECT FROM strategy_runs r WHERE r.id = %I.run_id)', found.relname)
            WHEN 'strategy_id' = ANY (found.columns) THEN
                format('EXISTS (SELECT FROM strategies s WHERE s.id = %I.strategy_id)', found.relname)
            WHEN found.relname IN ('candles', 'platform_settings') THEN 'true'
        END;
        CONTINUE WHEN sees IS NULL;  -- nothing of any user's, and nothing a reader asks for
        IF NOT found.told THEN
            EXECUTE format('CREATE POLICY seen_by_reader ON %s FOR SELECT TO runner_reader USING (%s)', found.name, sees);
        END IF;
        IF NOT found.walled THEN
            EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', found.name);
        END IF;
        EXECUTE format('GRANT SELECT ON %s TO runner_reader', found.name);
    END LOOP;
    FOR found IN
        SELECT c.oid::regclass AS name,
               coalesce('security_invoker=true' = ANY (c.reloptions), false) AS invoker
          FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'v'
    LOOP
        -- With its owner's eyes a view would see through the wall.
        IF NOT found.invoker THEN
            EXECUTE format('ALTER VIEW %s SET (security_invoker = true)', found.name);
        END IF;
        EXECUTE format('GRANT SELECT ON %s TO runner_reader', found.name);
    END LOOP;
    RETURN true;
END $$;
REVOKE EXECUTE ON FUNCTION raise_walls() FROM PUBLIC;
