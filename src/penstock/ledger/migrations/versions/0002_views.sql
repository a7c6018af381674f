-- Versioned views: what is promised to readers.

create view v1_quotas as
select q.quota_id as number, q.app, q.name, f.amount as "limit", f.reserve, q.per, q.timezone, w.starts_at, w.ends_at,
  case when q.per is null then (
    select coalesce(sum(d.amount), 0) from quota_draws d join processes p using (process_id)
    where d.quota_id = q.quota_id and d.settled_at is null and p.ended_at is null and p.lost_at is null)
  else coalesce(x.used, 0) end as used,
  coalesce(x.reserved, 0) as reserved,
  (select coalesce(sum(d.amount), 0) from quota_draws d where d.quota_id = q.quota_id and d.settled_at is null) as open
from quotas q cross join lateral quota_limits(q.quota_id) f
cross join lateral quota_window(q.quota_id, clock_timestamp(), 0) w
left join quota_windows x on x.quota_id = q.quota_id and x.scope = 0 and x.starts_at = w.starts_at;
comment on view v1_quotas is 'Each quota with its present window. A quota per run has a window in each run, and none here.';

create view v1_draws as
select d.draw_id as number, q.app, q.name as quota, public_id(1, d.run_id) as run, d.run_id as run_number, d.step,
  d.amount, d.settled, d.drawn_at, d.settled_at
from quota_draws d join quotas q using (quota_id);
comment on view v1_draws is 'What was drawn: amount at its worst case before the call, settled at what it cost.';

-- What was replaced has lost its settings; see 0001_views.sql.
do $$
declare f record; o text;
begin
  for f in select p.oid::regprocedure as name from pg_proc p where p.pronamespace = 'penstock'::regnamespace
    and p.proname in ('apply_plan', 'record', 'spend', 'settle', 'admit_plan', 'quota_limits', 'quota_window') loop
    execute format('alter function %s set search_path = penstock, pg_temp', f.name);
  end loop;
  for f in select p.oid::regprocedure as name from pg_proc p where p.pronamespace = 'penstock'::regnamespace
    and p.proname in ('record', 'spend', 'settle') loop
    foreach o in array array['enable_seqscan', 'enable_hashjoin', 'enable_mergejoin'] loop
      execute format('alter function %s set %I = off', f.name, o);
    end loop;
  end loop;
  for f in select p.oid::regprocedure as name from pg_proc p where p.pronamespace = 'penstock'::regnamespace
    and p.proname in ('apply_plan', 'admit_plan') loop
    execute format('alter function %s set enable_seqscan = off', f.name);
  end loop;
end $$;
