-- What runs found of their rows goes with them.

create or replace function prune_runs(p_before timestamptz, p_pipeline int, p_live bigint[], p_keep_failed boolean, p_after bigint,
  p_limit int, p_dry boolean)
returns table (last bigint, runs bigint, rows bigint, at_work bigint, undelivered bigint, failed bigint)
language plpgsql as $$
#variable_conflict use_column
declare v_seen bigint[]; v_old bigint[]; v_ids bigint[]; v_first timestamptz; v_rows bigint;
begin
  rows := 0;
  -- Numbers rise with time but for the length of a transaction: a whole window that was made after the cut ends it.
  if p_pipeline is null then
    select array_agg(y.run_id), min(y.created_at) into v_seen, v_first from (
      select r.run_id, r.created_at from runs r where r.run_id > p_after order by r.run_id limit p_limit) y;
  else
    select array_agg(y.run_id), min(y.created_at) into v_seen, v_first from (
      select r.run_id, r.created_at from runs r where r.pipeline_id = p_pipeline and r.run_id > p_after
      order by r.run_id limit p_limit) y;
  end if;
  last := case when cardinality(v_seen) = p_limit and v_first < p_before then v_seen[p_limit] end;
  with o as materialized (
    select r.run_id, r.failed_at is not null as failed, r.plan_id = any (p_live) as at_work,
      exists (select from outbox e where e.run_id = r.run_id) or exists (select from notices n where n.run_id = r.run_id)
        as undelivered
    from runs r where r.run_id = any (v_seen) and coalesce(r.finished_at, r.created_at) < p_before
      and r.state in ('completed', 'partial', 'failed', 'cancelled', 'skipped')
  )
  select array_agg(o.run_id) filter (where not (o.at_work or o.undelivered or (o.failed and p_keep_failed))),
      count(*) filter (where o.at_work), count(*) filter (where o.undelivered and not o.at_work),
      count(*) filter (where o.failed and p_keep_failed and not o.at_work and not o.undelivered)
    into v_old, at_work, undelivered, failed from o;
  runs := coalesce(cardinality(v_old), 0);
  if runs > 0 and not p_dry then
    -- Two that prune at once take turns here; what the first has taken the second does not find any more.
    select array_agg(y.run_id) into v_ids from (
      select r.run_id from runs r where r.run_id = any (v_old) order by r.run_id for update) y;
    delete from logs x where x.run_id = any (v_ids);
    get diagnostics v_rows = row_count; rows := rows + v_rows;
    delete from quality_metrics x where x.run_id = any (v_ids);
    get diagnostics v_rows = row_count; rows := rows + v_rows;
    delete from calls x where x.run_id = any (v_ids);
    get diagnostics v_rows = row_count; rows := rows + v_rows;
    delete from attempts x where x.run_id = any (v_ids);
    get diagnostics v_rows = row_count; rows := rows + v_rows;
    delete from run_units x where x.run_id = any (v_ids);
    get diagnostics v_rows = row_count; rows := rows + v_rows;
    delete from run_costs x where x.run_id = any (v_ids);
    get diagnostics v_rows = row_count; rows := rows + v_rows;
    delete from quota_draws x where x.run_id = any (v_ids);
    get diagnostics v_rows = row_count; rows := rows + v_rows;
    delete from quota_windows x using quotas q where q.per = 'run' and x.quota_id = q.quota_id and x.scope = any (v_ids);
    get diagnostics v_rows = row_count; rows := rows + v_rows;
    delete from runs x where x.run_id = any (v_ids);
    get diagnostics v_rows = row_count; rows := rows + v_rows;
    runs := v_rows;
    -- How wide a plan is nobody asks any more when it is done.
    delete from quota_windows w using quotas q where q.plan_id is not null and w.quota_id = q.quota_id and plan_done(q.plan_id);
    delete from quotas q where q.plan_id is not null and plan_done(q.plan_id);
  end if;
  return next;
end $$;
comment on function prune_runs is 'Runs that ended before a time go, with all that is recorded of them; kept ones are counted by why.';
alter function prune_runs(timestamptz, int, bigint[], boolean, bigint, int, boolean) set search_path = penstock, pg_temp;
alter function prune_runs(timestamptz, int, bigint[], boolean, bigint, int, boolean) set enable_seqscan = off;
