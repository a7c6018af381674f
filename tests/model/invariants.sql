-- What must hold of the ledger whenever nobody is writing. Each query gives the rows that break it.

-- name: a_unit_is_in_one_live_run
select x.unit_id, array_agg(r.run_id) from penstock.runs r join penstock.run_units x using (run_id)
where r.state in ('scheduled', 'running', 'waiting') group by 1 having count(*) > 1;

-- name: active_has_exactly_the_units_of_live_runs
select a.run_id, a.unit_id, 'active' as place from penstock.active a
where not exists (select from penstock.runs r join penstock.run_units x using (run_id)
  where r.run_id = a.run_id and x.unit_id = a.unit_id and r.state in ('scheduled', 'running', 'waiting')
    and r.lane_id = a.lane_id and r.rank <= a.rank)
union all
select r.run_id, x.unit_id, 'runs' from penstock.runs r join penstock.run_units x using (run_id)
where r.state in ('scheduled', 'running', 'waiting')
  and not exists (select from penstock.active a where a.run_id = r.run_id and a.unit_id = x.unit_id);

-- name: a_run_has_as_many_units_as_it_says
select r.run_id, r.units, count(x.unit_id) from penstock.runs r left join penstock.run_units x using (run_id)
group by 1 having count(x.unit_id) <> r.units or r.units = 0;

-- name: a_lane_has_one_run_at_a_time
select lane_id, array_agg(run_id) from penstock.runs where state in ('running', 'waiting') group by 1 having count(*) > 1;

-- name: a_lane_and_its_run_name_each_other
select r.run_id, r.lane_id, l.run_id from penstock.runs r left join penstock.lanes l using (lane_id)
where r.state in ('running', 'waiting') and l.run_id is distinct from r.run_id
union all
select l.run_id, l.lane_id, r.run_id from penstock.lanes l left join penstock.runs r
  on r.run_id = l.run_id and r.lane_id = l.lane_id and r.state in ('running', 'waiting')
where l.run_id is not null and r.run_id is null;

-- name: a_running_run_has_an_owner_or_may_be_claimed
select r.run_id, r.process_id, l.process_id, r.fence, l.fence, l.next_at
from penstock.runs r join penstock.lanes l using (lane_id) left join penstock.processes p on p.process_id = l.process_id
where r.state = 'running' and not case
  when l.process_id is null then l.next_at is not null and r.process_id is null and l.fence > r.fence
  else l.next_at is null and r.process_id = l.process_id and r.fence = l.fence and p.lost_at is null and p.ended_at is null
  end;

-- name: who_is_gone_holds_nothing
select l.lane_id, p.process_id from penstock.lanes l join penstock.processes p using (process_id)
where p.lost_at is not null or p.ended_at is not null or l.run_id is null;

-- name: a_waiting_run_has_no_owner_and_a_time
select r.run_id, r.process_id, l.process_id, l.next_at, r.not_before from penstock.runs r join penstock.lanes l using (lane_id)
where r.state = 'waiting' and (l.process_id is not null or r.process_id is not null or l.next_at is null
  or r.not_before is null or r.wait_reason is null);

-- name: a_scheduled_run_may_be_claimed_or_its_time_is_known
select r.run_id, a.held, l.next_at, l.run_id, r.not_before from penstock.runs r join penstock.lanes l using (lane_id)
  join penstock.active a on a.run_id = r.run_id join penstock.plans p using (plan_id)
  join penstock.pipelines q on q.pipeline_id = r.pipeline_id
where r.state = 'scheduled' and (r.process_id is not null or case
  when a.held then not (p.paused or q.paused or r.not_before is not null)
  else l.next_at is null and l.run_id is null end);

-- name: held_is_who_may_not_start
select r.run_id, r.state, a.unit_id, a.held, p.paused, q.paused, r.not_before, r.cancel_requested
from penstock.active a join penstock.runs r using (run_id) join penstock.plans p using (plan_id)
  join penstock.pipelines q on q.pipeline_id = r.pipeline_id
where a.held <> (r.state = 'scheduled' and (p.paused or q.paused or r.not_before is not null) and not r.cancel_requested);

-- name: who_is_asked_to_stop_may_be_claimed_at_once
select r.run_id, r.state, a.held, l.next_at from penstock.runs r join penstock.lanes l using (lane_id)
  join penstock.active a on a.run_id = r.run_id
where r.cancel_requested and (r.state = 'waiting' and l.next_at > clock_timestamp()
  or r.state = 'scheduled' and a.held
  or r.state = 'scheduled' and l.run_id is null and coalesce(l.next_at > clock_timestamp(), true));

-- name: over_is_over
select r.run_id, r.state, r.finished_at from penstock.runs r
where (r.state in ('completed', 'partial', 'failed', 'cancelled', 'skipped')) <> (r.finished_at is not null)
  or (r.failed_at is not null) <> (r.state in ('failed', 'partial'));

-- name: nothing_is_open_in_a_run_that_does_not_run
select a.run_id, a.seq from penstock.attempts a join penstock.runs r using (run_id)
where a.state = 'open' and r.state <> 'running';

-- name: what_hangs_on_runs_has_one
select 'attempts', run_id from penstock.attempts a where not exists (select from penstock.runs r where r.run_id = a.run_id)
union all
select 'calls', run_id from penstock.calls a where not exists (select from penstock.runs r where r.run_id = a.run_id)
union all
select 'run_units', run_id from penstock.run_units a where not exists (select from penstock.runs r where r.run_id = a.run_id)
union all
select 'outbox', run_id from penstock.outbox a where not exists (select from penstock.runs r where r.run_id = a.run_id)
union all
select 'plans', run_id from penstock.runs a where not exists (select from penstock.plans p where p.plan_id = a.plan_id);

-- name: only_open_plans_have_gaps
select p.plan_id, p.state from penstock.plans p where p.state <> 'open'
  and exists (select from penstock.plan_items i where i.plan_id = p.plan_id);

-- name: a_transaction_was_committed_with_its_record_and_once
select a.run_id, a.seq, count(m.run_id) from penstock.attempts a left join made m using (run_id, seq)
where a.step = 'write' and a.state = 'done' and a.copied_from is null group by 1, 2 having count(m.run_id) <> 1
union all
select m.run_id, m.seq, 0 from made m join penstock.runs r using (run_id)
where not exists (select from penstock.attempts a where a.run_id = m.run_id and a.seq = m.seq and a.state = 'done');

-- name: what_completed_keeps_no_result_of_once
select u.unit_id from penstock.units u join penstock.onces o using (unit_id)
where u.verdict = 'completed' and o.made_at < u.completed_at;

-- name: no_budget_is_passed
select q.name, w.starts_at, w.used, w.reserved, q.amount from penstock.quota_windows w join penstock.quotas q using (quota_id)
where q.per is not null and (w.used + w.reserved > q.amount or w.used < 0 or w.reserved < 0)
union all
select q.name, null, sum(d.amount), 0, q.amount from penstock.quotas q join penstock.quota_draws d using (quota_id)
  join penstock.processes p using (process_id)
where q.per is null and d.settled_at is null and p.ended_at is null and p.lost_at is null
group by q.quota_id having sum(d.amount) > q.amount;

-- name: what_was_drawn_is_used
select w.quota_id, w.scope, w.starts_at, w.used, d.drawn from penstock.quota_windows w join penstock.quotas q using (quota_id)
cross join lateral (select coalesce(sum(coalesce(x.settled, x.amount)), 0) as drawn from penstock.quota_draws x
  where x.quota_id = w.quota_id and x.scope = w.scope and x.starts_at = w.starts_at) d
where q.per is not null and w.used < d.drawn;

-- name: what_is_reserved_is_some_runs
select w.quota_id, w.starts_at, w.ends_at, w.reserved, c.reserved as by_runs from penstock.quota_windows w
cross join lateral (select coalesce(sum(x.reserved), 0) as reserved from penstock.run_costs x
  where x.quota_id = w.quota_id and x.starts_at = w.starts_at) c
where w.scope = 0 and w.ends_at > clock_timestamp() and w.reserved <> c.reserved;

-- name: only_runs_at_work_reserve
select c.run_id, r.state, c.reserved from penstock.run_costs c left join penstock.runs r using (run_id)
where c.reserved > 0 and r.state is distinct from 'running';
