-- Retention. Each call goes through one window of a table, in order of its key, and is a short transaction of its own:
-- the caller goes on after the last key, and may stop after any of them. Nothing that is live is ever locked.

create index outbox_run on outbox (run_id);
create index notices_run on notices (run_id);
comment on index outbox_run is 'A run whose event was not handed over yet is kept; so is one that somebody is yet to be told of.';

create function prune_runs(p_before timestamptz, p_pipeline int, p_live bigint[], p_keep_failed boolean, p_after bigint,
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
  end if;
  return next;
end $$;
comment on function prune_runs is 'Runs that ended before a time go, with all that is recorded of them; kept ones are counted by why.';

create function prune_plans(p_before timestamptz, p_pipeline int, p_live bigint[], p_keep_failed boolean, p_after bigint,
  p_limit int, p_dry boolean)
returns table (last bigint, plans bigint) language plpgsql as $$
#variable_conflict use_column
declare v_seen bigint[]; v_ids bigint[]; v_first timestamptz;
begin
  select array_agg(y.plan_id), min(y.created_at) into v_seen, v_first from (
    select p.plan_id, p.created_at from plans p where p.plan_id > p_after
      and (p_pipeline is null or p.pipeline_id = p_pipeline) order by p.plan_id limit p_limit) y;
  last := case when cardinality(v_seen) = p_limit and v_first < p_before then v_seen[p_limit] end;
  -- The newest plan of a pipeline tells when it was planned last. One that is open for over a day is refused anyway.
  select array_agg(p.plan_id order by p.plan_id) into v_ids from plans p
  where p.plan_id = any (v_seen) and coalesce(p.applied_at, p.created_at) < p_before
    and (p.state <> 'open' or p.created_at < clock_timestamp() - interval '1 day')
    and exists (select from plans y where y.pipeline_id = p.pipeline_id and y.plan_id > p.plan_id)
    and not exists (select from runs r where r.plan_id = p.plan_id and not (p_dry
      and r.state in ('completed', 'partial', 'failed', 'cancelled', 'skipped')
      and coalesce(r.finished_at, r.created_at) < p_before and not (p_keep_failed and r.failed_at is not null)
      and r.plan_id <> all (p_live) and not exists (select from outbox e where e.run_id = r.run_id)
      and not exists (select from notices n where n.run_id = r.run_id)));
  plans := coalesce(cardinality(v_ids), 0);
  if plans > 0 and not p_dry then
    -- An open one is put away first, so that nobody applies it while its gaps go.
    update plans p set state = 'discarded' where p.plan_id = any (v_ids) and p.state = 'open';
    delete from plans p where p.plan_id = any (v_ids) and p.state <> 'open'
      and not exists (select from plan_items i where i.plan_id = p.plan_id)
      and not exists (select from runs r where r.plan_id = p.plan_id);
    get diagnostics plans = row_count;
  end if;
  return next;
end $$;
comment on function prune_plans is 'Plans of which no run is left go, but for the newest of each pipeline.';

create function prune_gaps(p_before timestamptz, p_pipeline int, p_limit int, p_dry boolean) returns bigint language plpgsql as $$
#variable_conflict use_column
declare v_plans bigint[]; v_plan bigint; v_rows bigint;
begin
  select array_agg(p.plan_id) into v_plans from plans p
    where p.created_at < least(p_before, clock_timestamp() - interval '1 day') and (p_pipeline is null or p.pipeline_id = p_pipeline)
      and p.state <> 'applied' and exists (select from plan_items i where i.plan_id = p.plan_id);
  if v_plans is null then
    return 0;
  end if;
  if p_dry then
    return (select count(*) from plan_items i where i.plan_id = any (v_plans));
  end if;
  v_plan := v_plans[1];
  update plans p set state = 'discarded' where p.plan_id = v_plan and p.state = 'open';
  delete from plan_items i where i.plan_id = v_plan and i.position in (
    select y.position from plan_items y where y.plan_id = v_plan order by y.position limit p_limit);
  get diagnostics v_rows = row_count;
  return v_rows;
end $$;
comment on function prune_gaps is 'Gaps of plans that were left open go, some at a time, and the plans are put away; 0 when there are none.';

create function prune_onces(p_before timestamptz, p_pipeline int, p_after bigint, p_limit int, p_dry boolean)
returns table (last bigint, onces bigint) language plpgsql as $$
#variable_conflict use_column
declare v_seen bigint[]; v_ids bigint[];
begin
  select array_agg(y.unit_id) into v_seen from (
    select distinct o.unit_id from onces o where o.unit_id > p_after order by o.unit_id limit p_limit) y;
  last := case when cardinality(v_seen) = p_limit then v_seen[p_limit] end;
  select array_agg(u.unit_id) into v_ids from units u
  where u.unit_id = any (v_seen) and (p_pipeline is null or u.pipeline_id = p_pipeline)
    and coalesce(u.changed_at, '-infinity') < p_before and not exists (select from active a where a.unit_id = u.unit_id);
  if p_dry then
    select count(*) into onces from onces o where o.unit_id = any (v_ids) and o.made_at < p_before;
  else
    delete from onces o where o.unit_id = any (v_ids) and o.made_at < p_before;
    get diagnostics onces = row_count;
  end if;
  return next;
end $$;
comment on function prune_onces is 'What ctx.once kept goes when nobody has tried its unit since.';

create function prune_windows(p_before timestamptz, p_limit int, p_dry boolean) returns bigint language plpgsql as $$
#variable_conflict use_column
declare q record; v_rows bigint; v_all bigint := 0;
begin
  for q in select x.quota_id from quotas x where x.per <> 'run' order by 1 loop
    if p_dry then
      select count(*) into v_rows from quota_windows w
        where w.quota_id = q.quota_id and w.scope = 0 and w.starts_at < p_before and w.ends_at < p_before;
    else
      delete from quota_windows w where w.quota_id = q.quota_id and w.scope = 0 and w.ends_at < p_before and w.starts_at in (
        select y.starts_at from quota_windows y where y.quota_id = q.quota_id and y.scope = 0 and y.starts_at < p_before
          and y.ends_at < p_before order by y.starts_at limit p_limit);
      get diagnostics v_rows = row_count;
    end if;
    v_all := v_all + v_rows;
  end loop;
  return v_all;
end $$;
comment on function prune_windows is 'Windows of quotas that are over: what was used in them is history. Those of single runs go with these.';

create function prune_processes(p_before timestamptz, p_limit int, p_dry boolean) returns bigint language plpgsql as $$
#variable_conflict use_column
declare v_ids bigint[]; v_rows bigint;
begin
  select array_agg(y.process_id) into v_ids from (
    select p.process_id from processes p where coalesce(p.ended_at, p.lost_at) < p_before
      and not exists (select from lanes l where l.process_id = p.process_id)
    order by p.process_id limit case when not p_dry then p_limit end for update skip locked) y;
  if p_dry then
    return coalesce(cardinality(v_ids), 0);
  end if;
  delete from processes p where p.process_id = any (v_ids);
  get diagnostics v_rows = row_count;
  return v_rows;
end $$;
comment on function prune_processes is 'Processes that ended or were lost before a time, and hold nothing.';

-- Ids of runs that are gone are not shown as if one could look them up.
create or replace view v1_units as
  select q.app, q.name as pipeline, u.unit_id as number, u.key::jsonb as key, u.unit::jsonb as unit, u.verdict, u.source_version, u.failures,
    u.repeats, u.not_before, u.completed_at, u.completed_version, u.rev, u.changed_at,
    (select public_id(1, r.run_id) from runs r where r.run_id = u.last_run_id) as last_run,
    public_id(1, a.run_id) as active_run
  from units u join pipelines q using (pipeline_id) left join active a using (unit_id);
comment on view v1_units is 'What is remembered of each unit, the run that ended it last unless it was pruned, and the one that holds it now.';

do $$
declare f record;
begin
  for f in select p.oid::regprocedure as name from pg_proc p where p.pronamespace = 'penstock'::regnamespace
    and p.proname like 'prune\_%' loop
    execute format('alter function %s set search_path = penstock, pg_temp', f.name);
    -- Windows are found by their index, however small the tables were when a plan was made.
    execute format('alter function %s set enable_seqscan = off', f.name);
  end loop;
end $$;
