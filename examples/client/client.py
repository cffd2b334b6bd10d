"""LogClient: the same without a logger of the standard library, with keywords as fields.

Run it beside a collector: `logcollector serve`. Another server is named with LOGCOLLECTOR_SERVER_URL.
"""

from logcollector_handler import LogClient


def charge(amount: float) -> None:
    """Fail as a bank does."""
    raise ConnectionError(f"the bank did not take {amount:.2f}")


def main() -> None:
    """Log a few messages; the end of the block sends them."""
    with LogClient(service="payment-api", environment="development") as client:
        client.info("service started")
        client.log("WARN", "card expires soon", user_id=12345, card="…4242")
        with client.timer("Charge", user_id=12345):
            try:
                charge(99.5)
            except ConnectionError:
                client.error_with_trace("payment failed", user_id=12345, amount=99.5)
        client.trace("done")


if __name__ == "__main__":
    main()
