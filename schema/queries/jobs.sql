-- Long work.

-- name: lock_jobs
-- One at a time counts what is open and adds to it.
SELECT pg_advisory_xact_lock(hashtext('jobs'));

-- name: count_open_jobs
-- What waits and runs, of everybody and of a user.
SELECT open_jobs() AS everybodys, count(*) AS own
  FROM jobs WHERE state IN ('queued', 'running') AND user_id = %(user_id)s;

-- name: insert_job
-- A new job; one that is there already stays.
INSERT INTO jobs (id, user_id, kind, params) VALUES (%(id)s, %(user_id)s, %(kind)s, %(params)s)
ON CONFLICT DO NOTHING RETURNING id, user_id, kind, state, done, total;

-- name: prune_jobs
-- Forgets a user's oldest ended jobs beyond a number.
DELETE FROM jobs WHERE id IN (SELECT id FROM jobs
                               WHERE user_id = %(user_id)s AND state IN ('done', 'failed', 'cancelled')
                               ORDER BY created_at DESC, id DESC OFFSET %(kept)s);

-- name: job
-- One job of a user, of one kind where it is named.
SELECT id, user_id, kind, state, params, done, total, attempts, result, error, created_at, started_at, finished_at
  FROM jobs WHERE id = %(id)s AND user_id = %(user_id)s AND (%(kind)s::text IS NULL OR kind = %(kind)s);

-- name: list_jobs
-- A user's jobs of a kind, newest first, after a cursor.
SELECT id, user_id, kind, state, params, done, total, attempts, result, error, created_at, started_at, finished_at
  FROM jobs
 WHERE user_id = %(user_id)s AND kind = %(kind)s
   AND (%(before_at)s::timestamptz IS NULL OR (created_at, id) < (%(before_at)s, %(before_id)s::uuid))
 ORDER BY created_at DESC, id DESC LIMIT %(limit)s;

-- name: job_file
-- A part of a result, of the user's own jobs.
SELECT content FROM job_files WHERE job_id = %(id)s AND user_id = %(user_id)s AND name = %(name)s;

-- name: claim_job
-- The oldest job that waits or has lost its process, of a user who has not as many at work as may be.
UPDATE jobs SET state = 'running', owner = %(owner)s, fence = fence + 1, attempts = attempts + 1,
       lease_until = clock_timestamp() + make_interval(secs => %(lease_s)s),
       started_at = coalesce(started_at, clock_timestamp())
 WHERE id = (SELECT j.id FROM jobs j
              WHERE (j.state = 'queued' OR j.state = 'running' AND j.lease_until < clock_timestamp())
                AND j.attempts < %(most_attempts)s
                AND (SELECT count(*) FROM jobs r
                      WHERE r.user_id = j.user_id AND r.state = 'running' AND r.lease_until >= clock_timestamp())
                    < %(most_running)s
              ORDER BY j.created_at, j.id LIMIT 1 FOR UPDATE SKIP LOCKED)
RETURNING id, user_id, kind, fence, state, done, total;

-- name: fail_worn_jobs
-- Ends jobs under which as many processes have died as may.
UPDATE jobs SET state = 'failed', owner = NULL, lease_until = NULL, finished_at = clock_timestamp(),
       error = 'The process that worked on it has ended ' || attempts || ' times.'
 WHERE state = 'running' AND lease_until < clock_timestamp() AND attempts >= %(most_attempts)s
RETURNING id, user_id, kind, state, done, total;

-- name: renew_job
-- Keeps a job that is still this process's.
UPDATE jobs SET lease_until = clock_timestamp() + make_interval(secs => %(lease_s)s)
 WHERE id = %(id)s AND fence = %(fence)s AND state = 'running';

-- name: release_job
-- Gives a job back, as if it had not been begun.
UPDATE jobs SET state = 'queued', owner = NULL, lease_until = NULL, attempts = attempts - 1
 WHERE id = %(id)s AND fence = %(fence)s AND state = 'running';

-- name: job_params
-- What is asked of a job that is held.
SELECT params FROM jobs WHERE id = %(id)s AND fence = %(fence)s AND state = 'running';

-- name: progress_job
-- How far a job is that is held.
UPDATE jobs SET done = %(done)s, total = %(total)s
 WHERE id = %(id)s AND fence = %(fence)s AND state = 'running'
RETURNING id, user_id, kind, state, done, total;

-- name: end_job
-- The end of a job that is held, well or not.
UPDATE jobs SET state = %(state)s, owner = NULL, lease_until = NULL, finished_at = clock_timestamp(),
       result = %(result)s, error = %(error)s, done = CASE WHEN %(state)s = 'done' THEN total ELSE done END
 WHERE id = %(id)s AND fence = %(fence)s AND state = 'running'
RETURNING id, user_id, kind, state, done, total;

-- name: insert_job_file
-- A part of a result; one from an attempt before is replaced.
INSERT INTO job_files (job_id, user_id, name, content) VALUES (%(id)s, %(user_id)s, %(name)s, %(content)s)
ON CONFLICT (job_id, name) DO UPDATE SET content = excluded.content;

-- name: cancel_job
-- Ends a user's job that has not ended.
UPDATE jobs SET state = 'cancelled', owner = NULL, lease_until = NULL, finished_at = clock_timestamp()
 WHERE id = %(id)s AND user_id = %(user_id)s AND state IN ('queued', 'running')
RETURNING id, user_id, kind, state, done, total;
