-- Where whoever migrates may not make roles and only `runner_reader` was made by hand, the wall before what is read goes on
-- standing, before new tables too; what is written then has none until there is `runner_tenant`.

CREATE OR REPLACE FUNCTION raise_walls() RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    me CONSTANT text := 'current_setting(''runner.user'', true)';
    role_name text;
    found record;
    sees text;
    changes text;
    verb text;
    writers boolean;
BEGIN
    -- On a server of the operator's, whoever migrates makes the roles where they may.
    FOREACH role_name IN ARRAY ARRAY['runner_reader', 'runner_tenant'] LOOP
        CONTINUE WHEN EXISTS (SELECT FROM pg_roles WHERE rolname = role_name)
                   OR NOT (SELECT rolcreaterole OR rolsuper FROM pg_roles WHERE rolname = current_user);
        EXECUTE format('CREATE ROLE %I NOLOGIN', role_name);
        EXECUTE format('GRANT %I TO %I', role_name, current_user);
        IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'runner_service') THEN
            EXECUTE format('GRANT %I TO runner_service', role_name);
        END IF;
        IF role_name = 'runner_tenant' AND EXISTS (SELECT FROM pg_roles WHERE rolname = 'runner_reader') THEN
            GRANT runner_reader TO runner_tenant;
        END IF;
    END LOOP;
    writers := EXISTS (SELECT FROM pg_roles WHERE rolname = 'runner_tenant');
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'runner_reader') THEN
        RETURN false;
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
               ARRAY(SELECT p.polname::text FROM pg_policy p WHERE p.polrelid = c.oid) AS policies
          FROM pg_class c
         WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
           AND c.relname <> 'schema_migrations'
         ORDER BY c.relname
    LOOP
        sees := CASE
            WHEN 'user_id' = ANY (found.columns) THEN 'user_id = ' || me
            WHEN found.relname = 'strategies' THEN
                'owner_id = ' || me || ' OR visibility <> ''private'''
                ' OR EXISTS (SELECT FROM strategy_runs r WHERE r.strategy_id = strategies.id)'
            WHEN 'run_id' = ANY (found.columns) THEN
                format('EXISTS (SELECT FROM strategy_runs r WHERE r.id = %I.run_id)', found.relname)
            WHEN 'account_id' = ANY (found.columns) THEN
                format('EXISTS (SELECT FROM accounts a WHERE a.id = %I.account_id)', found.relname)
            WHEN 'strategy_id' = ANY (found.columns) THEN
                format('EXISTS (SELECT FROM strategies s WHERE s.id = %I.strategy_id)', found.relname)
            WHEN found.relname IN ('candles', 'platform_settings') THEN 'true'
        END;
        CONTINUE WHEN sees IS NULL;  -- nothing of any user's, and nothing a reader asks for
        changes := CASE
            -- What only trading writes, and what only triggers do.
            WHEN found.relname IN ('fills', 'trades', 'signals', 'strategy_tick_runs', 'strategy_tick_triggers',
                                   'event_chains', 'dropped_links', 'candles', 'platform_settings') THEN NULL
            WHEN found.relname = 'strategies' THEN 'owner_id = ' || me
            WHEN found.relname = 'strategy_versions' THEN
                'EXISTS (SELECT FROM strategies s WHERE s.id = strategy_versions.strategy_id AND s.owner_id = ' || me || ')'
            WHEN 'strategy_id' = ANY (found.columns) AND 'user_id' <> ALL (found.columns) THEN NULL
            ELSE sees
        END;
        IF 'seen_by_reader' <> ALL (found.policies) THEN
            EXECUTE format('CREATE POLICY seen_by_reader ON %s FOR SELECT TO runner_reader USING (%s)', found.name, sees);
        END IF;
        EXECUTE format('GRANT SELECT ON %s TO runner_reader', found.name);
        IF writers AND changes IS NOT NULL THEN
            FOREACH verb IN ARRAY ARRAY['INSERT', 'UPDATE', 'DELETE'] LOOP
                CONTINUE WHEN lower(verb) || '_by_tenant' = ANY (found.policies);
                EXECUTE format('CREATE POLICY %I ON %s FOR %s TO runner_tenant %s', lower(verb) || '_by_tenant', found.name,
                               verb, CASE verb WHEN 'INSERT' THEN format('WITH CHECK (%s)', changes)
                                               ELSE format('USING (%s)', changes) END);
            END LOOP;
            IF found.relname = 'strategies' THEN
                -- Whoever subscribes holds a strategy of somebody else's while the run begins: locks it, changes nothing.
                IF 'held_by_tenant' <> ALL (found.policies) THEN
                    EXECUTE format('CREATE POLICY held_by_tenant ON strategies FOR UPDATE TO runner_tenant'
                                   ' USING (%s) WITH CHECK (false)', sees);
                END IF;
                GRANT INSERT, DELETE ON strategies TO runner_tenant;
                -- Not the owner: a strategy that is held is not taken over.
                EXECUTE format('GRANT UPDATE (%s) ON strategies TO runner_tenant',
                               (SELECT string_agg(quote_ident(each), ', ') FROM unnest(found.columns) AS each
                                 WHERE each NOT IN ('id', 'owner_id')));
            ELSE
                EXECUTE format('GRANT INSERT, UPDATE, DELETE ON %s TO runner_tenant', found.name);
            END IF;
        END IF;
        IF NOT found.walled THEN
            EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', found.name);
        END IF;
    END LOOP;
    IF writers THEN
        REVOKE UPDATE, DELETE ON strategy_events FROM runner_tenant;
        GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO runner_tenant;
        GRANT EXECUTE ON FUNCTION ensure_partitions(timestamptz, timestamptz) TO runner_tenant;
    END IF;
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
