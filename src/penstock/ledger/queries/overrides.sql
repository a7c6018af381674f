-- Figures that an operator set instead of the code's.

-- name: overrides
select app, nullif(pipeline, '') as pipeline, name, value, note, changed_at, changed_by
from penstock.overrides where app = %(app)s order by overrides.pipeline, name;

-- name: set_override
insert into penstock.overrides (app, pipeline, name, value, note, changed_by)
values (%(app)s, %(pipeline)s, %(name)s, %(value)s, %(note)s, coalesce(%(by)s, current_user))
on conflict (app, pipeline, name) do update
set value = excluded.value, note = excluded.note, changed_by = excluded.changed_by;

-- name: unset_override
delete from penstock.overrides where app = %(app)s and pipeline = %(pipeline)s and name = %(name)s returning name;

-- name: wake_quota
-- A quota's figure was changed: runs that were put off for want of it are looked at again.
update penstock.runs r set not_before = statement_timestamp() from penstock.pipelines p
where p.app = %(app)s and r.pipeline_id = p.pipeline_id and r.not_before is not null and r.state = 'scheduled'
  and r.wait_reason = 'quota';
