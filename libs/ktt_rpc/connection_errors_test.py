from __future__ import annotations

from ktt_rpc.connection_errors import explain

REFUSED = "failed to connect to all addresses; last error: UNKNOWN: {}:1: Connection refused"


def test_a_refusal_on_one_of_two_addresses_is_not_told_as_that_of_all():
    both = explain(REFUSED.format("ipv6:%5B::1%5D"))
    assert "127.0.0.1" in both and "TLS" in both
    assert explain(REFUSED.format("ipv4:127.0.0.1")).startswith("nothing listens at the server's")
