"""Which names mean a secret: two long tables, and what holds for any name."""

# ruff: noqa: SIM905 - tables of names are easier to read as text
from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from logcollector_handler.entry.encoding import encode_fields
from logcollector_handler.entry.redact import DEFAULT_REDACT, MASK, Redactor
from tests.entry.making import builder, metadata, record, shipped

#: By default.
usual = Redactor(DEFAULT_REDACT)

SECRETS = """
password db_password user.password dbPassword DB-PASSWORD dbpassword userpassword password2 password_1 new_password
PASSWORD Pass_Word passWord hashed_password password_hash passwordDigest passwordConfirmation password_sha256 passwords
passwd pwd MYSQL_PWD db_pwd pw pass DB_PASS smtpPass PGPASSWORD redis-password mysql_root_password admin:password
passphrase pass_phrase passcode pin card_pin otp otp_code totp 2fa_code mfaCode recovery_codes verificationCode
api_key apiKey apikey APIKEY ApiKey api-key x-api-key X_API_KEY STRIPE_API_KEY openai_api_key api_keys APIKeys myapikey
x-goog-api-key api.key api_key_value access_key AWS_ACCESS_KEY aws_secret_access_key secret_key secretkey
SECRET_KEY_BASE django_secret_key signing_key encryptionKey master_key ssh_key ssh_private_key private_key privateKey
private_key_pem account_key session_key Ocp-Apim-Subscription-Key x-functions-key hmac_key license_key
token access_token accessToken accesstoken id_token refreshToken refresh_tokens api_token authToken authtoken
csrf_token X-CSRFToken csrfmiddlewaretoken X-XSRF-TOKEN oauth_token oauth2Token bearer_token github_token GITHUB_TOKEN
slack_bot_token x-vault-token session_token SessionToken deviceToken x-amz-security-token jwt jwtToken bearer csrf
authorization Authorization Proxy-Authorization HTTP_AUTHORIZATION authorization_header auth basic_auth proxyAuth
cookie Cookie cookies Set-Cookie set_cookie2 HTTP_COOKIE session_cookie sessionCookie request.cookies cookie_value
secret secrets client_secret clientSecret clientsecret webhook_secret topsecret secret_value secret_id PHPSESSID
credential credentials aws_credentials google_application_credentials creds client_assertion SAMLResponse
credit_card creditCard debit_card card_number cardNumber card.number cc_number cvv cvc CVV2 card_cvc security_code
iban IBAN customer_iban bank_account bankAccountNumber ssn user_ssn social_security_number passport_number
shared_access_signature connect.password kafka.sasl.password spring.datasource.password _password password_
""".split()

CLEAR = """
token_count max_tokens tokens prompt_tokens total_tokens completionTokens tokens_used tokenizer token_type token_id
token_expires_at page_token next_page_token nextPageToken NextToken continuation_token eos_token
author authority authors author_id co_author authorized authenticated authentication oauth oauth_provider auth_type
authMethod requires_auth auth_enabled
session session_id sessionId sessions session_count session_age
key keys primary_key idempotency_key foreign_key public_key ssh_public_key sort_key partition_key cache_key routing_key
object_key s3_key storage_key hash_key row_key key_id access_key_id keyword keyboard keyspace monkey turkey api_key_id
password_reset password_changed_at password_policy password_length password_attempts passwordless has_password
is_password password_reset_url password_file secret_name secret_version secret_arn secretary
cookie_banner cookie_consent cookie_name cookies_enabled cookies_eaten cookie_policy_version
passport passport_control passenger passage compass bypass passed passes passing pass_count pass_rate boarding_pass
pins pinned pinterest spin shipping opinion gpio_pin zip_code country_code pin_code code status_code
card card_type card_brand card_last4 card_id cardinality discard dashboard credit credit_limit account account_id
iban_country caliban assign lessons classname jwt_issuer csrf_enabled otp_enabled
user_id email username name path url request request_id trace_id duration_ms status amount order.id state nonce
signature fingerprint certificate hash checksum md5 salt "" _ 42 ключ
""".split()


@pytest.mark.parametrize("name", [*DEFAULT_REDACT, *SECRETS])
def test_a_name_that_means_a_secret_is_masked(name: str) -> None:
    made = metadata(**{name: "hunter2", "value": {"a": [{name: {"b": "hunter2"}}]}})
    assert made == {name: MASK, "value": {"a": [{name: MASK}]}}


@pytest.mark.parametrize("name", CLEAR)
def test_a_name_that_means_none_stays_clear(name: str) -> None:
    assert not usual(name)
    assert b"shown" in encode_fields({name: "shown", "value": {name: "shown"}}, usual, 1000).replace(b"shown", b"", 1)


def test_no_name_stands_in_both_tables() -> None:
    assert not {*SECRETS} & {*CLEAR}
    assert len({*SECRETS, *CLEAR}) == len(SECRETS) + len(CLEAR) > 300


OWN = Redactor(["Session-ID", "straße", "pin code", "employeeNumber", "key", "next_page"])


@pytest.mark.parametrize(
    "name",
    "session_id sessionID app.session-id SESSIONID STRASSE home_straße pincode pin_code pin-codes employee_number "
    "employeenumber key primary_key keys key_hash nextPage user_next_page2".split(),
)
def test_own_names_are_matched_by_their_words_as_the_usual_ones_are(name: str) -> None:
    assert OWN(name)


@pytest.mark.parametrize(
    "name", "session id code pin monkey password token page session_id_count has_key turkey number".split()
)
def test_own_names_replace_the_usual_ones_and_are_no_parts_of_words(name: str) -> None:
    assert not OWN(name)
    [entry] = shipped(record(extra={name: "shown"}), by=builder(redact=["employee_number"]))
    assert entry["metadata"][name] == "shown"


@pytest.mark.parametrize("names", [(), [""], ["_", "-"], ["42"]])
def test_names_without_letters_mask_nothing(names: list[str]) -> None:
    secret = Redactor(names)
    assert not [name for name in ("", "password", "_", "42", "url") if secret(name)]


def test_a_name_that_is_longer_than_names_are_is_judged_by_its_end() -> None:
    assert usual("x" * 100_000 + "_db_password")
    assert not usual("password_" * 100_000 + "count")
    assert len(metadata(**{"x" * 5_000 + "_password": "hunter2"}).popitem()[1]) == len(MASK)


def test_names_are_remembered_up_to_a_limit() -> None:
    secret = Redactor(DEFAULT_REDACT)
    for number in range(20_000):
        assert not secret(f"field{'x' * (number % 300)}{number}")
        assert secret("db_password")
    assert len(secret._known) <= 4096


words = st.lists(st.from_regex("[a-z]{1,8}", fullmatch=True), max_size=3)


@given(before=words, name=st.sampled_from(DEFAULT_REDACT), spelling=st.sampled_from("_-. :/"), number=st.booleans())
@settings(max_examples=150)
def test_a_secrets_name_behind_other_words_means_a_secret(
    before: list[str], name: str, spelling: str, number: bool
) -> None:
    apart = [*before, *name.split("_")]
    clear = re.compile("page|next|boarding|first|second|test|gpio|led|is|has|had|was|needs|requires")
    if any(clear.fullmatch(word) for word in before):
        return
    digit = "7" if number else ""
    assert usual(spelling.join(apart) + digit)
    assert usual(spelling.join(apart).upper() + digit)
    assert usual("".join(map(str.capitalize, apart)) + digit)
    assert not usual(spelling.join([*apart, "count"]) + digit)


@given(st.text(max_size=300))
@settings(max_examples=200)
def test_any_text_can_be_a_name(name: str) -> None:
    for secret in (usual, OWN, Redactor([name])):
        assert secret(name) is secret(name)
        assert secret.is_address(name) in (False, not secret(name))
