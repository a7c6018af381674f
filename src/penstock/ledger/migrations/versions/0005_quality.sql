-- The quality of what steps made: how many rows, how many of them valid, and what is wrong with the others.

create table quality_metrics (
  metric_id bigint generated always as identity primary key,
  run_id bigint not null, step text not null, unit_no int, attempt smallint not null, no int not null,
  at timestamptz not null, metric_type text not null, count bigint not null,
  severity text not null check (severity in ('info', 'warning', 'error', 'critical')), details json
);
create unique index quality_metrics_run on quality_metrics (run_id, step, unit_no, no) nulls not distinct;
create index quality_metrics_at on quality_metrics (at);
comment on table quality_metrics is 'What steps found, as their last attempt tells it. total_records and valid_records are sums; all others are issues.';

create function record_quality(p json, p_now timestamptz) returns void
language plpgsql set plan_cache_mode = force_generic_plan as $$
begin
  -- The word of the last attempt holds, and an empty list is a word. A unit's call is recorded once, so its attempt is
  -- of no interest.
  delete from quality_metrics m using (
    select i.run, i.step, i.unit from json_to_recordset(p) i(run bigint, lane bigint, fence bigint, step text, unit int,
      quality json)
    join lanes l on l.lane_id = i.lane and l.run_id = i.run and l.fence = i.fence where i.quality is not null) x
  where m.run_id = x.run and m.step = x.step and m.unit_no is not distinct from x.unit;
  insert into quality_metrics (run_id, step, unit_no, attempt, no, at, metric_type, count, severity, details)
  select i.run, i.step, i.unit, coalesce(i.attempt, 1), q.no, p_now, q.body ->> 'type', (q.body ->> 'count')::bigint,
    q.body ->> 'severity', q.body -> 'details'
  from (  -- one group may hold an attempt and the next one
    select distinct on (y.run, y.step, y.unit) y.* from json_to_recordset(p) y(run bigint, lane bigint, fence bigint,
      step text, unit int, attempt smallint, seq int, quality json)
    where y.quality is not null order by y.run, y.step, y.unit, y.seq desc) i
  join lanes l on l.lane_id = i.lane and l.run_id = i.run and l.fence = i.fence
  cross join lateral json_array_elements(i.quality) with ordinality q(body, no);
end $$;
comment on function record_quality is 'What attempts or calls found, with their record.';

create view v1_quality as
  select m.metric_id as number, q.app, q.name as pipeline, public_id(1, m.run_id) as run, m.run_id as run_number, m.step,
    m.unit_no, m.attempt, m.at, m.metric_type, m.count, m.severity, m.details::jsonb as details
  from quality_metrics m join runs r using (run_id) join pipelines q using (pipeline_id);
comment on view v1_quality is 'What steps found of their rows: total_records, valid_records, and issues by type.';
