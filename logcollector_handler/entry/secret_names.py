"""The names of secrets, and the words by which `redact` tells a name that means a secret from one that does not.

To add a name, write it once, in lower case with `_` between its words: `db_password`, `DB-PASSWORD` and `dbPassword`
are covered by `password`.
"""

from __future__ import annotations

from typing import Final

#: Names of fields whose values are masked by default.
DEFAULT_REDACT: Final = (
    # What a person knows.
    "password",
    "passwd",
    "passcode",
    "passphrase",
    "pass",
    "pwd",
    "pw",
    "pin",
    "otp",
    "totp",
    "otp_code",
    "mfa_code",
    "2fa_code",
    "recovery_code",
    "backup_code",
    "verification_code",
    "seed_phrase",
    "recovery_phrase",
    "mnemonic",
    # What a program shows to be let in.
    "secret",
    "secret_id",
    "token",
    "access_token",
    "refresh_token",
    "id_token",
    "auth_token",
    "api_token",
    "session_token",
    "bearer_token",
    "csrf_token",
    "bearer",
    "jwt",
    "csrf",
    "xsrf",
    "auth",
    "authorization",
    "credential",
    "creds",
    "client_assertion",
    "jwt_assertion",
    "saml_assertion",
    "saml_response",
    "cookie",
    "session_key",
    "phpsessid",
    "jsessionid",
    "shared_access_signature",
    # Keys. Most keys are none: `primary_key`, `sort_key`, `public_key`.
    "api_key",
    "app_key",
    "application_key",
    "access_key",
    "account_key",
    "auth_key",
    "client_key",
    "decryption_key",
    "deploy_key",
    "encryption_key",
    "functions_key",
    "hmac_key",
    "license_key",
    "master_key",
    "private_key",
    "secret_key",
    "service_account_key",
    "shared_key",
    "signing_key",
    "ssh_key",
    "subscription_key",
    "write_key",
    # What money and people are known by.
    "credit_card",
    "debit_card",
    "card_number",
    "card_no",
    "cc_number",
    "cvv",
    "cvc",
    "security_code",
    "iban",
    "bank_account",
    "bank_account_number",
    "ssn",
    "social_security_number",
    "passport_number",
)

#: Names that end like one of a secret and mean none. The longer of two names that fit decides.
CLEAR: Final = (
    "page_token",
    "next_page_token",
    "next_token",
    "continuation_token",
    "pagination_token",
    "sync_token",
    "idempotency_token",
    "cancellation_token",
    "fencing_token",
    "bos_token",
    "eos_token",
    "pad_token",
    "stop_token",
    "unk_token",
    "boarding_pass",
    "first_pass",
    "second_pass",
    "test_pass",
    "gpio_pin",
    "led_pin",
)

#: Names whose plural means another thing: what language models count, and the contacts of a chip.
SINGULAR: Final = frozenset({"token", "pin"})

#: Names that are also found at the end of a longer word, as in `dbpassword`: no English word ends like these.
RUN_TOGETHER: Final = (
    "password",
    "passwd",
    "passphrase",
    "secret",
    "token",
    "cookie",
    "authorization",
    "apikey",
    "secretkey",
    "accesskey",
    "privatekey",
)
PLURALS: Final = tuple(f"{name}s" for name in RUN_TOGETHER if name not in SINGULAR)

#: Words behind a secret's name that leave it a secret: `password_hash`, `api_key_value`, `password_confirmation`.
#: Digits are left out of words, so `b` and `base` are those of `b64` and `base64`.
# fmt: off
CARRIERS: Final = frozenset({
    "again", "b", "base", "bcrypt", "bytes", "clear", "cleartext", "confirm", "confirmation", "current", "data",
    "decoded", "decrypted", "digest", "enc", "encoded", "encrypted", "hash", "hashed", "header", "hex", "md",
    "new", "old", "pem", "plain", "plaintext", "raw", "repeat", "salt", "sha", "str", "string", "value",
})
# fmt: on

#: Words that make a question of a name. What answers it is no secret: `has_password`, `is_token`.
QUESTIONS: Final = frozenset({"is", "has", "had", "was", "needs", "requires"})

#: Last words of names whose values can be texts of many names and values: URLs, queries, requests, headers, commands.
#: In these a value is masked by its own name.
# fmt: off
ADDRESSES: Final = frozenset({
    "argv", "body", "callback", "cmd", "cmdline", "command", "conn", "connection", "dsn", "endpoint", "environ", "form",
    "headers", "href", "link", "location", "origin", "params", "path", "payload", "qs", "query", "querystring",
    "redirect", "referer", "referrer", "request", "target", "uri", "uris", "url", "urls",
})
# fmt: on
#: Words behind these that say nothing about the value.
OF_ADDRESSES: Final = CARRIERS | {"args", "info", "line", "full", "original"}

#: Parameters that are secrets in a query only. Elsewhere they mean many things.
IN_QUERIES: Final = frozenset({"code", "key", "sig", "signature"})
