-- The tables of the system that medallion replaces, as views over the ledger.

create or replace view medallion.etl_executions as
  select r.id::uuid as id, r.instance::uuid as pipeline_id, r.org::int as org_id,
    (case when r.state in ('completed', 'partial', 'skipped') then 'completed'
      when r.state in ('failed', 'cancelled') then 'failed' when r.state = 'scheduled' then 'scheduled'
      else 'running' end)::varchar(50) as status,
    s.layer::varchar(50) as layer,
    jsonb_build_object('pipeline', r.pipeline, 'plan', r.plan, 'parameters', p.params::jsonb, 'forced', p.forced,
      'triggered_by', p.triggered_by, 'units', r.units) as config,
    s.result, r.error, s.processed as records_processed, s.failed as records_failed, s.bytes as size_bytes,
    -- An int holds 24 days; a run that waits for longer must not keep all others from being shown.
    least(1000 * extract(epoch from coalesce(r.finished_at, statement_timestamp()) - r.started_at), 2147483647)::int as duration_ms,
    (r.started_at at time zone 'UTC')::timestamp as started_at, (r.finished_at at time zone 'UTC')::timestamp as completed_at
  from penstock.v1_runs r join penstock.v1_plans p on p.number = r.plan_number
  left join lateral (
    select (array_agg(x.step order by x.place desc) filter (where x.started_at is not null))[1] as layer,
      jsonb_object_agg(x.step, x.output) filter (where x.output is not null) as result,
      max((x.counts ->> 'read')::bigint) as processed,
      coalesce(sum((x.counts ->> 'filtered')::bigint), 0)::bigint + coalesce(sum((x.counts ->> 'failed')::bigint), 0)::bigint as failed,
      max((x.counts ->> 'bytes')::bigint) as bytes
    from (
      select y.step, y.place, y.started_at, y.output, coalesce(y.counts, (
        -- A step that was called once per unit has its counts there.
        select jsonb_object_agg(k.key, k.n) from (
          select e.key, sum(e.value::bigint) as n from penstock.calls c cross join lateral json_each_text(c.counts) e
          where c.run_id = y.run_number and c.step = y.step group by e.key) k)) as counts
      from penstock.v1_steps y where y.run_number = r.number) x) s on true
  where r.app = 'medallion' and (r.instance is null or r.instance ~ '^[0-9a-f-]{36}$');
comment on view medallion.etl_executions is 'Every run of medallion; its states are translated: partial is completed, cancelled is failed.';

create or replace view medallion.data_quality_metrics as
  select q.number as id, r.instance::uuid as pipeline_id, r.org::int as org_id, q.run::uuid as execution_id,
    q.step::varchar(50) as layer, q.metric_type::varchar(100) as metric_type, least(q.count, 2147483647)::int as count,
    q.severity::varchar(50) as severity, q.details, (q.at at time zone 'UTC')::timestamp as timestamp
  from penstock.v1_quality q join penstock.v1_runs r on r.number = q.run_number
  where q.app = 'medallion' and (r.instance is null or r.instance ~ '^[0-9a-f-]{36}$');
comment on view medallion.data_quality_metrics is 'What the layers found of their rows.';
