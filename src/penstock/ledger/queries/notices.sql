-- Notices to people, from the outbox to their targets.

-- name: collect
-- Each event is taken once; the mark and the notices are one statement. A unit that failed is final unless a later run
-- follows it up.
with new as materialized (
  select o.event_id from penstock.outbox o where o.app = %(app)s and not o.noticed
  order by o.event_id for update skip locked
), taken as (
  update penstock.outbox o set noticed = true from new n where o.event_id = n.event_id
  returning o.event_id, o.at, o.run_id
), final as (
  select t.* from taken t join penstock.runs r using (run_id)
  where r.state = any(%(ends)s) and (r.state not in ('failed', 'partial') or exists (
    select from penstock.run_units x
    where x.run_id = r.run_id and coalesce(x.state, r.state) in ('failed', 'partial') and not exists (
      select from penstock.run_units y join penstock.runs f using (run_id)
      where y.unit_id = x.unit_id and y.run_id > x.run_id and f.origin_run_id = r.run_id and f.tries > r.tries)))
), known as (
  insert into penstock.notice_targets (app, target) select %(app)s, unnest(%(targets)s::text[])
  on conflict do nothing
), kept as (
  insert into penstock.notices (app, target, event_id, at, run_id)
  select %(app)s, target, f.event_id, f.at, f.run_id from final f cross join unnest(%(targets)s::text[]) target
  on conflict do nothing
)
select count(*) as n from final;

-- name: unnoticed
-- Whether there is anything to take, asked often and answered by an index.
select count(*) as there from (
  select from penstock.outbox o where o.app = %(app)s and not o.noticed order by o.at limit 1) x;

-- name: take_target
update penstock.notice_targets t set next_at = clock_timestamp() + %(lease)s * interval '1 s'
where t.app = %(app)s and t.target = %(target)s and t.next_at <= clock_timestamp() and exists (
  select from (select n.at from penstock.notices n where n.app = t.app and n.target = t.target order by n.at limit 1) o
  where %(whole)s or o.at <= clock_timestamp() - %(collect)s * interval '1 s')
returning t.tries;

-- name: let_target_go
update penstock.notice_targets set next_at = clock_timestamp() where app = %(app)s and target = %(target)s;

-- name: mark_batch
with marked as (
  update penstock.notices n set batch = %(batch)s where n.app = %(app)s and n.target = %(target)s returning n.at
)
select count(*) as total, min(at) as first_at, max(at) as last_at from marked;

-- name: batch_counts
select coalesce(q.name, '?') as pipeline, coalesce(r.state, 'gone') as state, r.error_class, count(*) as n
from penstock.notices n left join penstock.runs r using (run_id) left join penstock.pipelines q using (pipeline_id)
where n.batch = %(batch)s group by 1, 2, 3 order by n desc, 1, 2, 3;

-- name: batch_runs
select r.run_id as number, q.name as pipeline, r.state, u.unit, r.units, coalesce(x.error_class, r.error_class) as error_class,
  coalesce(x.error, r.error) as error, r.failed_step as step
from (select run_id, at from penstock.notices where batch = %(batch)s order by at, run_id limit %(limit)s) n
join penstock.runs r using (run_id) join penstock.pipelines q using (pipeline_id)
cross join lateral (
  select * from penstock.run_units y where y.run_id = r.run_id order by y.state is null, y.unit_no limit 1) x
join penstock.units u using (unit_id)
order by n.at, r.run_id;

-- name: told
with gone as (delete from penstock.notices where batch = %(batch)s)
update penstock.notice_targets set tries = 0, error = null, sent_at = clock_timestamp(),
  next_at = clock_timestamp() + %(every)s * interval '1 s'
where app = %(app)s and target = %(target)s;

-- name: refused
update penstock.notice_targets set tries = tries + 1, error = %(error)s,
  next_at = clock_timestamp() + %(wait)s * interval '1 s'
where app = %(app)s and target = %(target)s;

-- name: waiting
select v.target, v.waiting, v.oldest, v.sent_at, v.tries, v.error, v.next_at
from penstock.v1_notices v where v.app = %(app)s order by v.target;

-- name: drop_target
delete from penstock.notice_targets where app = %(app)s and target = %(target)s returning target;

-- name: drop_notices
delete from penstock.notices where app = %(app)s and target = %(target)s;
