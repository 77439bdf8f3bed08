-- Warnings of the time limit are kept for as long as the executions they were made of. 0034 gave the service no right to
-- take them out, and a role that was made by hand has no default rights.
DO $$ BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'runner_service') THEN
        GRANT DELETE ON strategy_warnings TO runner_service;
    END IF;
END $$;
