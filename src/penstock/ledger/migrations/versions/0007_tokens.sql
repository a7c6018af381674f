-- Tokens of the service, and what it answered to requests that may be sent again.

create table api_tokens (
  token_id bigint generated always as identity primary key,
  app text not null, name text not null, role text not null check (role in ('viewer', 'operator', 'admin')), org text,
  hash bytea not null unique check (octet_length(hash) = 32),
  created_at timestamptz not null default now(), created_by text, expires_at timestamptz, last_used_at timestamptz,
  revoked_at timestamptz
) with (fillfactor = 80);
create unique index api_tokens_name on api_tokens (app, name) where revoked_at is null;
comment on table api_tokens is 'Who may ask the service. Of a token itself only its SHA-256 is here.';
comment on column api_tokens.org is 'The only organization that it sees; null: all of them.';

create table api_requests (
  token_id bigint not null references api_tokens on delete cascade, key text collate "C" not null,
  hash bytea not null, made_at timestamptz not null default now(), attempt uuid not null,
  status smallint, headers json, body bytea,
  primary key (token_id, key)
);
create index api_requests_made on api_requests (made_at);
comment on table api_requests is 'Requests with an Idempotency-Key: the answer, kept for a day. Without a status it is being worked on.';
