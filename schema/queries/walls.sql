-- The wall between users: migrations/0022_walls.sql, 0027_walls_of_writers.sql.

-- name: has_walls
-- Whether this session may read as one user, and write as one, and the tables keep to it.
SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = 'runner_reader' AND pg_has_role(oid, 'MEMBER'))
       AND coalesce((SELECT relrowsecurity FROM pg_class WHERE oid = to_regclass('strategy_runs')), false),
       EXISTS (SELECT FROM pg_roles WHERE rolname = 'runner_tenant' AND pg_has_role(oid, 'MEMBER'))
       AND EXISTS (SELECT FROM pg_policy WHERE polrelid = to_regclass('strategy_runs') AND polname = 'update_by_tenant');

-- name: become_reader
-- From here to the end of the transaction, the rows of one user are all there is.
SELECT set_config('runner.user', %(user_id)s, true), set_config('role', 'runner_reader', true);

-- name: become_tenant
-- From here to the end of the transaction, the rows of one user are all there is to read and to change.
SELECT set_config('runner.user', %(user_id)s, true), set_config('role', 'runner_tenant', true);

-- name: name_request
-- From here to the end of the transaction, events carry this request's id.
SELECT set_config('runner.request_id', %(request_id)s, true);
