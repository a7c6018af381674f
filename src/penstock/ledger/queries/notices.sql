-- Notices to people, from the log of events to their targets.

-- name: collect
select * from penstock.collect_notices(%(app)s, %(targets)s, %(ends)s);

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
