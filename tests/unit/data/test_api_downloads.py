"""Files: in pieces, with a limit, and never half of one taken for the whole."""

from __future__ import annotations

import gzip
from contextlib import aclosing

import pytest

import penstock as ps
from penstock import data
from penstock.testing import servers
from penstock.testing.servers import Cut, Sent, Silent, Turned
from tests.unit.data.calling import running

CSV = b"a,b\n" + b"1,2\n" * 100_000


async def read(server: servers.WebServer, *, limit: int | None = None, patience: float = 30) -> list[bytes]:
    async with data.Api(server.url, timeout=patience) as api:
        return [piece async for piece in api.download("/file.csv", limit=limit)]


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_file_comes_in_pieces(chunked: bool) -> None:
    with servers.http(Sent(body=CSV, chunked=chunked)) as server, running() as step:
        pieces = await read(server)
        assert b"".join(pieces) == CSV
        assert len(pieces) > 5
        assert max(map(len, pieces)) <= 65_536
        assert [line.fields["bytes"] for line in step.log.lines] == [len(CSV)]


async def test_a_compressed_file_is_unpacked_and_the_limit_is_of_what_comes_out() -> None:
    packed = Sent(body=gzip.compress(CSV), headers=(("Content-Encoding", "gzip"),))
    with servers.http(packed) as server:
        assert b"".join(await read(server)) == CSV
        with pytest.raises(ps.InvalidData, match=r"/file\.csv is more than limit=5,000 bytes"):
            await read(server, limit=5000)


@pytest.mark.parametrize(
    ("chunked", "message"), [(False, "is 400,004 bytes; limit=1,000"), (True, "is more than limit=1,000 bytes")]
)
async def test_a_file_above_the_limit_is_refused(chunked: bool, message: str) -> None:
    with servers.http(Sent(body=CSV, chunked=chunked)) as server:
        with pytest.raises(ps.InvalidData, match=message):
            await read(server, limit=1000)
        assert len(b"".join(await read(server, limit=len(CSV)))) == len(CSV)


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_cut_in_mid_download_is_of_the_network(chunked: bool) -> None:
    with servers.http(Sent(body=CSV, chunked=chunked), script=[Cut(at="body", after=200_000)]) as server:
        with running() as step:
            with pytest.raises(ps.NetworkError, match=r"/file\.csv: "):
                await read(server)
            (line,) = step.log.lines
            assert line.level == "warning"
            assert 0 < line.fields["bytes"] <= 200_000
            assert line.fields["status"] == 200
        assert b"".join(await read(server)) == CSV


async def test_a_file_that_never_comes_is_a_timeout() -> None:
    with servers.http(Sent(body=CSV), script=[Silent()]) as server, pytest.raises(TimeoutError):
        await read(server, patience=0.2)


async def test_a_refused_file_gives_no_piece() -> None:
    refused = Turned(status=403, message="SignatureDoesNotMatch")
    with servers.http(refused) as server, pytest.raises(ps.AuthFailed, match="SignatureDoesNotMatch"):
        await read(server)


async def test_whoever_leaves_early_leaves_no_connection_behind() -> None:
    with servers.http(Sent(body=CSV)) as server, running() as step:
        async with data.Api(server.url) as api:
            async with aclosing(api.download("/file.csv")) as pieces:
                async for _ in pieces:
                    break
            assert len(step.log.lines) == 1
            assert (await api.get("/x")).status_code == 200
