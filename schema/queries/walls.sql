-- The wall between users: migrations/0022_walls.sql.

-- name: has_walls
-- Whether this session may read as one user, and the tables keep to it.
SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = 'runner_reader' AND pg_has_role(oid, 'MEMBER'))
   AND coalesce((SELECT relrowsecurity FROM pg_class WHERE oid = to_regclass('strategy_runs')), false);

-- name: become_reader
-- From here to the end of the transaction, the rows of one user are all there is.
SELECT set_config('runner.user', %(user_id)s, true), set_config('role', 'runner_reader', true);
