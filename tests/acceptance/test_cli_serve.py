"""`penstock token` and `penstock serve`, as they are typed."""

from __future__ import annotations

import json
import re
import signal
import ssl
import subprocess
import time
from collections.abc import Generator
from contextlib import contextmanager

import httpx2
import psycopg
import pytest

from tests.acceptance.conftest import Cli

DEADLINE = 60.0


class Process:
    """The real service: its lines of stderr as they come."""

    def __init__(self, cli: Cli, *words: str) -> None:
        self.popen = cli.process("serve", "--port", "0", "--grpc-port", "0", *words)
        self.lines: list[str] = []
        self.secret, self.url, self.grpc = "", "", ""
        deadline = time.monotonic() + DEADLINE
        assert self.popen.stderr is not None
        for line in self.popen.stderr:
            self.lines.append(line)
            if found := re.search(r"pst_\w{46}", line):
                self.secret = found[0]
            if '"serving"' in line:
                self.url, self.grpc = json.loads(line)["url"], json.loads(line)["grpc"]
                return
            assert time.monotonic() < deadline
        raise AssertionError("".join(self.lines))

    def stop(self, number: signal.Signals = signal.SIGTERM) -> str:
        self.popen.send_signal(number)
        _, err = self.popen.communicate(timeout=DEADLINE)
        return "".join(self.lines) + err


@contextmanager
def serving(cli: Cli, *words: str) -> Generator[Process]:
    process = Process(cli, *words)
    try:
        yield process
    finally:
        if process.popen.poll() is None:
            process.popen.kill()
            process.popen.communicate()


def test_tokens_are_made_listed_and_revoked(cli: Cli, database_url: str) -> None:
    assert cli("token", "list").out == "There are no tokens; penstock token create makes one.\n"
    made = cli("token", "create", "grafana")
    secret = made.out.strip()
    assert re.fullmatch(r"pst_[0-9A-Za-z]{46}", secret)
    assert cli("token", "create", "grafana").status == 1
    wide = cli("token", "create", "ops", "--role", "operator", "--org", "7", "--days", "30", "--json").json
    assert (wide["role"], wide["org"], wide["name"]) == ("operator", "7", "ops")
    listed = cli("token", "list")
    assert "grafana" in listed.out
    assert "pst_" not in listed.out
    assert [one["name"] for one in cli("token", "list", "--json").json] == ["grafana", "ops"]
    assert cli("token", "revoke", "grafana").out == "grafana is revoked.\n"
    missing = cli("token", "revoke", "grafana")
    assert (missing.status, "penstock token list" in missing.err) == (2, True)
    wrong = cli("token", "create", "x", "--role", "viwer")
    assert (wrong.status, "did you mean viewer" in wrong.err) == (2, True)
    assert cli("token", "create", "x", "--days", "0").status == 1
    with psycopg.connect(database_url) as connection:
        rows = connection.execute("select t::text from penstock.api_tokens t").fetchall()
    assert len(rows) == 2
    assert all(secret not in row[0] for row in rows)


def test_a_service_answers_works_and_stops_in_good_order(cli: Cli) -> None:
    with serving(cli, "--lanes", "2") as service:
        assert service.secret
        caller = httpx2.Client(
            base_url=service.url,
            headers={"Authorization": f"Bearer {service.secret}"},
            trust_env=False,
            timeout=20,
        )
        with caller:
            assert caller.get("/readyz").status_code == 200
            body = {"pipeline": "reports", "where": {"bank_id": 1}}
            plan = caller.post("/api/v1/plans", json=body).json()
            assert plan["counts"] == {"missing": 2}
            assert caller.post(f"/api/v1/plans/{plan['number']}/apply").status_code == 202
            deadline = time.monotonic() + DEADLINE
            while not (done := caller.get(f"/api/v1/plans/{plan['number']}/progress").json())["over"]:
                assert time.monotonic() < deadline, done
            assert done["runs"] == {"completed": 2}
        told = service.stop()
    assert service.popen.returncode == 0, told
    assert "Traceback" not in told
    assert told.count(service.secret) == 1
    lines = [json.loads(line) for line in told.splitlines() if line.startswith("{")]
    asked = [line for line in lines if line.get("route") == "/api/v1/plans"]
    assert [(line["status"], line["method"], line["token"]) for line in asked] == [(201, "POST", "admin")]
    assert lines[-1]["event"] == "stopped"
    with serving(cli) as again:  # there is a token now, so none is made
        assert not again.secret
        assert again.stop(signal.SIGINT)
    assert again.popen.returncode == 0


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--host", "0.0.0.0"), "--behind-tls"),
        (("--host", "0.0.0.0", "--behind-tls"), "penstock token create NAME --role admin"),
        (("--host", "192.0.2.1", "--behind-tls"), "nobody can listen at 192.0.2.1"),
        (("--port", "70000"), "a TCP port, so 0 to 65,535"),
    ],
)
def test_a_service_that_would_be_open_to_others_does_not_start(cli: Cli, words: tuple[str, ...], told: str) -> None:
    port = () if "--port" in words else ("--port", "0")
    answer = cli("serve", *port, *words)
    assert answer.status == 2
    assert told in answer.err


def test_a_port_that_is_taken_is_said(cli: Cli) -> None:
    with serving(cli) as service:
        port = service.url.rpartition(":")[2]
        taken = cli.shell("serve", "--port", port)
        assert taken.status == 2
        assert f"http_port={port}" in taken.err
        port = service.grpc.rpartition(":")[2]
        taken = cli.shell("serve", "--port", "0", "--grpc-port", port)
        assert taken.status == 2
        assert f"grpc_port={port}" in taken.err


def test_a_certificate_makes_it_speak_tls(cli: Cli) -> None:
    key, cert = cli.folder / "key.pem", cli.folder / "cert.pem"
    made = subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", str(key), "-out", str(cert),
         "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"],
        check=False, capture_output=True,
    )  # fmt: skip
    if made.returncode:
        pytest.skip("no openssl")
    cli.set("PENSTOCK_TLS_CERT", str(cert))
    assert "tls_key" in cli("serve").err
    cli.set("PENSTOCK_TLS_KEY", str(key))
    with serving(cli) as service:
        assert service.url.startswith("https://")
        answer = httpx2.get(f"{service.url}/livez", verify=ssl.create_default_context(cafile=cert), trust_env=False)
        assert answer.json() == {"status": "ok"}
        assert "strict-transport-security" in answer.headers
