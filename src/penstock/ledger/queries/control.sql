-- What people steer.

-- name: pause_plan
update penstock.plans set paused = %(paused)s where plan_id = %(plan)s returning plan_id;

-- name: pause_pipeline
update penstock.pipelines set paused = %(paused)s where app = %(app)s and name = %(pipeline)s returning pipeline_id;

-- name: set_held
select penstock.set_held(%(plan)s, %(pipeline)s, %(paused)s);

-- name: live_of_plan
select run_id from penstock.runs where plan_id = %(plan)s and state in ('scheduled', 'running', 'waiting') order by run_id;

-- name: cancel
select run_id, now_state from penstock.cancel_runs(%(runs)s);

-- name: forget
update penstock.units u set failures = 0, not_before = null, rev = rev + 1
from penstock.pipelines q where q.app = %(app)s and q.name = %(pipeline)s and u.pipeline_id = q.pipeline_id
  and u.key_hash in (select md5(k)::uuid from unnest(%(keys)s::text[]) k)
  and not exists (select from penstock.active a where a.unit_id = u.unit_id);

-- name: notify
select pg_notify('penstock', %(topic)s);
