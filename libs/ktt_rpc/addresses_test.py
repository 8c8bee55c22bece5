import socket

import pytest

from ktt_core.errors import InvalidArgumentError
from ktt_rpc.addresses import check_free, is_loopback, join_address, split_host
from ktt_rpc.limits import peer_host


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "127.1.2.3", "::1", "[::1]", "localhost", "LOCALHOST.", "unix:/run/ktt.sock"]
    + ["::ffff:127.0.0.1"],
)
def test_only_this_machine_reaches_loopback(host):
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host",
    ["0.0.0.0", "::", "10.0.0.1", "localhost.example.org", "127.0.0.1.example.org", "", "example"]
    + ["2130706433", "127.1", "fe80::1", "::ffff:10.0.0.1"],
)
def test_everything_else_is_not_loopback(host):
    assert not is_loopback(host)


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("127.0.0.1", "127.0.0.1:7"),
        ("::1", "[::1]:7"),
        ("[::1]", "[::1]:7"),
        ("a.example", "a.example:7"),
        ("unix:/run/a.sock", "unix:/run/a.sock"),
    ],
)
def test_an_address_is_joined_and_taken_apart(host, address):
    assert join_address(host, 7) == address
    assert split_host(address) == host.strip("[]")


def test_the_scheme_of_an_address_is_not_its_host():
    assert split_host("dns:///a.example:7") == "a.example"
    assert split_host("ipv6:[::1]:7") == "::1"


@pytest.mark.parametrize(
    ("peer", "host"),
    [
        ("ipv4:10.0.0.7:51234", "10.0.0.7"),
        ("ipv6:%5B::1%5D:51234", "::1"),
        ("ipv6:[::1]:51234", "::1"),
        ("unix:", "unix"),
        ("", "unknown"),
    ],
)
def test_a_peer_is_known_by_its_host(peer, host):
    assert peer_host(peer) == host


def test_the_socket_of_a_running_server_is_not_free_and_that_of_a_killed_one_is(tmp_path):
    path = tmp_path / "a.sock"
    check_free(f"unix:{path}")
    with socket.socket(socket.AF_UNIX) as running:
        running.bind(str(path))
        running.listen(1)
        for _ in range(4):  # Also when its queue is full.
            with pytest.raises(InvalidArgumentError, match="another server"):
                check_free(f"unix:{path}")
    assert path.exists()
    check_free(f"unix:{path}")
    check_free("unix:/" + "x" * 300)
    check_free("127.0.0.1:1")
