-- Budgets of venue hosts among all processes.

-- name: take_venue_weight
-- Takes what is left of the host's present window, as much as wanted at most; tells its end and a ban.
WITH present AS MATERIALIZED (
    SELECT to_timestamp(floor(extract(epoch FROM clock_timestamp()) / %(window_s)s::float8) * %(window_s)s::float8)
           AS starts
), taken AS (
    INSERT INTO venue_budgets AS budget (host, window_start, used, granted)
    SELECT %(host)s, starts, least(%(wanted)s, %(weight)s)::int, least(%(wanted)s, %(weight)s)::int FROM present
    ON CONFLICT (host) DO UPDATE SET
        -- Who has waited for this row may come with a window that is over: it takes from the newer one.
        window_start = greatest(budget.window_start, excluded.window_start),
        used = CASE WHEN excluded.window_start > budget.window_start THEN excluded.used
                    ELSE greatest(budget.used, least(%(weight)s, budget.used + %(wanted)s)) END,
        granted = CASE WHEN excluded.window_start > budget.window_start THEN excluded.used
                       ELSE greatest(0, least(%(weight)s - budget.used, %(wanted)s)) END
    RETURNING granted, window_start
)
SELECT granted,
       extract(epoch FROM window_start - clock_timestamp())::float8 + %(window_s)s::float8 AS ends_in_s,
       (SELECT until FROM venue_bans WHERE host = %(host)s AND until > clock_timestamp()) AS banned_until
  FROM taken;

-- name: ban_venue
-- Notes a ban where it lasts longer than what is known; no row otherwise.
INSERT INTO venue_bans AS known (host, until) VALUES (%(host)s, %(until)s)
ON CONFLICT (host) DO UPDATE SET until = excluded.until WHERE known.until < excluded.until
RETURNING pg_notify('venue_bans', host);

-- name: venue_bans
-- Hosts that have banned this address, and until when.
SELECT host, until FROM venue_bans WHERE until > clock_timestamp() ORDER BY host;
