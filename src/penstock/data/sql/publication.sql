-- The staging place of a run: a schema of its own, in which tables have the names of those that they are published to.

-- name: origin
-- The run from which this one took its completed steps, and with them what they wrote.
select origin from penstock.v1_runs where number = %(number)s and id = %(run)s;

-- name: has_ledger
-- Whether the ledger is in this database.
select to_regclass('penstock.v1_runs') is not null;

-- name: by_hand
-- A name for what a connection does outside of runs; a pid alone comes again.
select 'pid_' || pid || '_' || (extract(epoch from backend_start) * 1000000)::bigint from pg_stat_activity
where pid = pg_backend_pid();

-- name: there
-- Which tables a staging place has.
select c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace
where n.nspname = %(schema)s and c.relkind = 'r';

-- name: only_one
-- Steps of one run that begin side by side make its place one after the other.
select pg_advisory_xact_lock(hashtextextended(%(schema)s, 5573589319906702433));

-- name: may_clean
-- What was left behind is removed by one at a time; who finds another at it goes on.
select pg_try_advisory_xact_lock(5573589319906702433);

-- name: patience
-- A step that holds its target exclusively would wait for itself.
set local lock_timeout = '15s';

-- name: left_behind
-- Staging places of runs that never published, made more than 30 days ago, that this user may remove.
select nspname from pg_namespace
where nspname ~ '^penstock_staging_' and pg_has_role(nspowner, 'usage')
  and obj_description(oid, 'pg_namespace') ~ '^made at '
  and substr(obj_description(oid, 'pg_namespace'), 9)::timestamptz < now() - interval '30 days';

-- name: see_staging
-- From here on bare names are what was written; gives what the path was.
select current_setting('search_path'),
  set_config('search_path', quote_ident(%(schema)s) || ', ' || current_setting('search_path'), true);

-- name: see_published
-- The search path as it was.
select set_config('search_path', %(path)s, true);

-- name: changes
-- How many rows of these tables this transaction has changed so far.
select coalesce(sum(n_tup_ins + n_tup_upd + n_tup_del), 0)::bigint from pg_stat_xact_all_tables
where relid = any (%(oids)s::oid[]);
