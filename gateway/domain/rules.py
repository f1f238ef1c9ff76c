"""The rules that a change or a question can break: each a word for programs, and a sentence in English.

This table is all that a translation needs: the sentence completes what the field's name begins, and is filled with the
mistake's `params`. A word, once given out, stays.
"""

from collections.abc import Mapping
from enum import StrEnum
from string import Formatter
from typing import Any, Self

Param = int | str | list[str]
"""What a sentence is filled with. Fractions are texts: they stay exact."""

_JOINED = {"o": " or ", "n": " and "}


class _English(Formatter):
    """Lists with commas; `{names!o}` with "or", `{names!n}` with "and"."""

    def convert_field(self, value: Any, conversion: str | None) -> Any:
        if conversion in _JOINED:
            return _JOINED[conversion].join(value)
        joined = ", ".join(value) if isinstance(value, list) else value
        return super().convert_field(joined, conversion)


class Told(StrEnum):
    """A table of sentences by the word that programs see, which is the value."""

    template: str

    def __new__(cls, word: str, template: str) -> Self:
        """A row of the table."""
        row = str.__new__(cls, word)
        row._value_ = word
        row.template = template
        return row


class Rule(Told):
    """What is broken. The value is the `code` of an error that callers see."""

    def sentence(self, params: Mapping[str, Param]) -> str:
        """The rule in English, without a full stop."""
        return _ENGLISH.vformat(self.template, (), params)

    # Any field

    REQUIRED = "required", "is required"
    UNKNOWN_FIELD = "unknown_field", "there is no such field; known are {known}"
    WRONG_TYPE = "wrong_type", "must be of type {expected!o}, not {given}"
    ENTRY_NOT_TEXT = "entry_not_text", "entry {entry} must be of type string, not {given}"
    UNREADABLE = "unreadable", "cannot be read: {why}"
    TOO_SMALL = "too_small", "must be at least {least}, it is {given}"
    TOO_LARGE = "too_large", "must be at most {most}, it is {given}"
    NOT_ABOVE = "not_above", "must be above {bound}, it is {given}"
    NOT_BELOW = "not_below", "must be below {bound}, it is {given}"
    TOO_SHORT = "too_short", "must have at least {least} characters, it has {given}"
    TOO_LONG = "too_long", "may have {most} characters at most, it has {given}"
    WRONG_LENGTH = "wrong_length", "must have {least} to {most} characters, it has {given}"
    TOO_FEW = "too_few", "must have at least {least} entries, it has {given}"
    TOO_MANY = "too_many", "may have {most} entries at most, it has {given}"
    TOO_MANY_BYTES = "too_many_bytes", "may be {most} bytes of JSON at most, it is {given}"
    NOT_ONE_OF = "not_one_of", "must be one of {choices}; it is '{given}'"
    CONTROL_CHARACTERS = "control_characters", "may hold no line breaks or control characters"
    UNSTORABLE_TEXT = "unstorable_text", "text may hold neither U+0000 nor half a surrogate pair"
    NESTED_TOO_DEEPLY = "nested_too_deeply", "is nested deeper than {most} levels"

    # Times

    MILLISECONDS = "milliseconds", "counts seconds, not milliseconds; did you mean {seconds}?"
    IN_THE_PAST = (
        "in_the_past",
        "{given} is in the past; give Unix seconds in the future, or -1 for never",
    )
    EXPIRIES_DISAGREE = "expiries_disagree", "disagrees with expired_time; send one of them"
    NO_TIME_ZONE = (
        "no_time_zone",
        "'{given}' is no IANA time zone; name one as Europe/Berlin is named",
    )

    # Quota

    NEGATIVE = (
        "negative",
        "may not be negative, it is {given}; 0 stops the token, unlimited_quota lifts the cap",
    )
    GRANT_TOO_LARGE = (
        "grant_too_large",
        "the grant may be {most} units at most (below 2^52 nano-dollars)",
    )
    GRANT_OUT_OF_BOUNDS = (
        "grant_out_of_bounds",
        "the grant would be below 0, or not below 2^52 nano-dollars ($4,503,599)",
    )
    BEYOND_BOOKS = "beyond_books", "is beyond what a book can hold (2^52 nano-dollars)"
    QUOTAS_DISAGREE = (
        "quotas_disagree",
        "{fields!n} disagree; send one of them (quota_usd 0 means unlimited)",
    )
    NOT_UNLIMITED = (
        "not_unlimited",
        "0 means unlimited, but unlimited_quota is false; set one of them right",
    )
    QUOTA_REQUIRED = "quota_required", "is required to make an unlimited token a limited one"
    TWO_UNITS = "two_units", "and {other} say the same in two units; send one of them"
    NOTHING_TO_ADD_TO = (
        "nothing_to_add_to",
        "the token is unlimited: there is nothing to add to",
    )
    MORE_THAN_IS_LEFT = "more_than_is_left", "takes more than is left ({left})"

    # Models, addresses, groups

    NO_MODEL_NAME = (
        "no_model_name",
        "'{given}' is no model name: at most {most} characters, no control characters",
    )
    NO_LIST_OF_NAMES = (
        "no_list_of_names",
        'begins with "[" but is no JSON array of names such as ["gpt-5.4"]',
    )
    NO_MODEL_NAMED = (
        "no_model_named",
        "is true but model_limits names no model; name some, or leave the flag out",
    )
    NO_PATTERN = (
        "no_pattern",
        "'{given}' is a pattern, but a list of models has whole names: name each model, or '*' for all",
    )
    NO_PATTERN_IN_TOKEN = (
        "no_pattern_in_token",
        "'{given}' is a pattern, but a list of models has whole names: name each model, or none for all of the group's",
    )
    NO_ADDRESS = "no_address", "must be an IPv4 or IPv6 address, it is '{given}'"
    NO_BLOCK = (
        "no_block",
        "line {line}: '{given}' is no IPv4 or IPv6 address and no CIDR block such as 203.0.113.0/24",
    )
    HOST_BITS = "host_bits", "line {line}: '{given}' has host bits set; the block is {block}"
    MAPPED_BLOCK = (
        "mapped_block",
        "line {line}: '{given}' is an IPv4-mapped block; write {address}/… instead",
    )
    NO_GROUP = "no_group", "there is no group '{given}'"
    GROUP_NOT_YOURS = (
        "group_not_yours",
        "'{given}' is not a group that you may use; leave it out for your own group",
    )

    # Limits

    NOT_UNIQUE = (
        "not_unique",
        "counts the same as {other} (metric, window, mode, models, shadow); keep one",
    )
    LIMIT_TOO_LARGE = (
        "limit_too_large",
        "is too large; nano-dollars or counts stay below 2^52, a burst included",
    )
    LIMIT_NOT_WHOLE = "limit_not_whole", "a limit of {metric} is a whole number"
    BURST_NOT_WHOLE = "burst_not_whole", "a burst of {metric} is a whole number"
    CALENDAR_ONLY = "calendar_only", 'window = "{window}" needs mode = "calendar"'
    NO_CALENDAR_WINDOW = (
        "no_calendar_window",
        'mode = "calendar" knows the windows "1d" and "month"',
    )
    BURST_ONLY_BY_MINUTE = (
        "burst_only_by_minute",
        'burst needs window = "1m" and mode = "sliding"',
    )
    BURST_NOT_ABOVE_ZERO = (
        "burst_not_above_zero",
        "burst, and the limit that refills it, must be above 0",
    )
    BURST_TOO_LARGE = (
        "burst_too_large",
        "burst must be refilled within a day: at most {times} times the limit",
    )

    # Tokens

    KEY_NOT_SETTABLE = (
        "key_not_settable",
        "cannot be set; leave it out, or make a new token for a new key",
    )
    STATUS_REQUIRED = "status_required", "is required with status_only: 1 enables, 2 disables"
    RESERVE_NOT_YOURS = (
        "reserve_not_yours",
        '"estimate" is for administrators to set; "strict" is yours, too',
    )
    ID_DISAGREES = "id_disagrees", "is {given}, but the path says {path}; leave it out"
    NO_TOKEN = "no_token", "there is no token {given} among your tokens"
    TOKEN_LIMIT = (
        "token_limit",
        "you have {most} tokens or more: delete some, or ask an administrator to raise admin.max_tokens_per_user",
    )
    VERSION_CHANGED = (
        "version_changed",
        "it was changed meanwhile: it is at version {version} and not {given}; read it again and repeat the change",
    )
    SECRETS_LIVE = (
        "secrets_live",
        "{live} secrets open this token; end their overlap (DELETE /api/token/{id}/rotate), or rotate without one",
    )
    KEY_OPENS_NOTHING = (
        "key_opens_nothing",
        "it opens none of your tokens; it is mistyped, deleted or somebody else's",
    )

    # Users

    NO_USER = "no_user", "there is no user '{given}'"
    NO_OWNER = "no_owner", "there is no owner; --user names another"
    NAME_TAKEN = "name_taken", "'{given}' is taken; choose another"
    EMAIL_TAKEN = "email_taken", "'{given}' is another user's; choose another"
    NO_USER_OF_ID = "no_user_of_id", "there is no user {given}"
    USER_NOT_YOURS = (
        "user_not_yours",
        "there is no user {given} whom you may manage: nobody manages their own rank or a higher one, but owners",
    )
    ROLE_NOT_YOURS = (
        "role_not_yours",
        "'{given}' is not yours to give: nobody gives a role of their own rank or a higher one, but owners",
    )
    LAST_OWNER = (
        "last_owner",
        "this is the last enabled owner, and somebody has to be: make another one first",
    )
    NO_USERNAME = (
        "no_username",
        "must have 1 to 64 letters from A to Z, digits or . _ @ + -, and begin with a letter or a digit",
    )
    USERNAME_STAYS = "username_stays", "is '{username}' and stays so; leave it out"
    NO_EMAIL = "no_email", "'{given}' is no e-mail address such as ada@example.com"
    NO_ACCOUNT = "no_account", "there is no account {given}"
    EXCLUDES = "excludes", "and {other} exclude each other; send one of them"
    SCOPE_NOT_YOURS = "scope_not_yours", "'{given}' is not yours to give; yours are {choices}"
    ADDRESSES_NOT_YOURS = (
        "addresses_not_yours",
        "your access token is bound to {blocks}: name some of these, or none",
    )
    MOST_ACCESS_TOKENS = (
        "most_access_tokens",
        "you have {most} access tokens; delete one that you do not need",
    )
    NO_ACCESS_TOKEN = "no_access_token", "there is no access token {given} among them"
    NO_SESSION = "no_session", "there is no session {given} among them; it may have ended"
    ID_OF_WHAT = "id_of_what", "is an id of what? Send object_kind, too"
    PASSWORD_LENGTH = (
        "password_length",
        "must have {least} to {most} characters; a few words will do",
    )
    PASSWORD_UNCHANGED = "password_unchanged", "is the one you have now; choose another"
    PASSWORD_IS_USERNAME = "password_is_username", "may not be the username"
    PASSWORD_WRONG = "password_wrong", "is not your present password"
    PASSWORD_REQUIRED = (
        "password_required",
        "is required with a new password, and with another address",
    )
    NOTHING_TO_CHANGE = (
        "nothing_to_change",
        "is one of what can be changed; send at least one of them",
    )

    # Accounts

    NOT_YOUR_ACCOUNT = "not_your_account", "{given} is no account that the user is a member of"
    FOR_ADMINISTRATORS = "for_administrators", "is for administrators to change"
    FOR_MANAGERS = "for_managers", "is for owners and admins of the account"
    ROLE_TOO_LOW = (
        "role_too_low",
        "a member's role of {role} in the account does not reach one of {other}",
    )
    NO_MEMBER = "no_member", "user {given} is no member of account {account}"
    ALREADY_MEMBER = "already_member", "user {given} is a member of the account"
    LAST_ACCOUNT_OWNER = (
        "last_account_owner",
        "the account would have no owner: make somebody else one first",
    )
    NO_SUBSCRIPTION = (
        "no_subscription",
        "there is no group '{given}', or account {account} has not subscribed to it",
    )
    ONE_OF_TWO = "one_of_two", "or {other}: send one of them"
    GRANTS_DISAGREE = "grants_disagree", "and {other} disagree; send one of them"
    GRANT_BEYOND_BOUNDS = (
        "grant_beyond_bounds",
        "the grant would become {given} nano-dollars; it stays from 0 to below 2^52 nano-dollars ($4,503,599)",
    )
    NO_CAP = "no_cap", "there is no cap, so there is nothing to add to; set one first"
    NO_AMOUNT = "no_amount", "must be other than 0"
    NO_PAYMENT = "no_payment", "must be above 0"
    START_AFTER_END = "start_after_end", "must be after starts_time"
    REFERENCE_REUSED = (
        "reference_reused",
        "'{given}' was booked for another amount or wallet; a reference stands for one payment",
    )
    NO_CODE = "no_code", "there is no such code; was it typed whole?"
    CODE_USED = "code_used", "the code was used"
    CODE_REVOKED = "code_revoked", "the code was revoked"
    CODE_EXPIRED = "code_expired", "the code has expired"
    NO_ACCOUNT_STATUS = "no_account_status", "must be 1 enabled or 2 disabled; it is {given}"

    # Links and invites

    EMAIL_LACKING = "email_lacking", "you have none; set one first"
    NO_INVITE = "no_invite", "there is no invite {given} that you could revoke"

    # The catalog

    NO_ENTRY = "no_entry", "there is no {kind} '{given}'"
    ENTRY_TAKEN = "entry_taken", "there is one of the name '{given}'; PATCH changes it"
    ENTRY_RESERVED = (
        "entry_reserved",
        "the configuration file, or a provider's key in the environment, has one of the name '{given}'",
    )
    IN_THE_FILE = (
        "in_the_file",
        "'{given}' is in the configuration file: edit it there and start again, or take it out and make it here",
    )
    NAMED_BY_GROUP = (
        "named_by_group",
        "'{given}' is in use: the group '{group}' names it in {where}; change the group first",
    )
    STOOD_FOR_BY = (
        "stood_for_by",
        "'{given}' is in use: the {kind} '{by}' stands for it; change or delete that first",
    )
    GROUP_HAS_USERS = (
        "group_has_users",
        "'{given}' is in use: users in it: {count}; move them first",
    )
    GROUP_HAS_TOKENS = (
        "group_has_tokens",
        "'{given}' is in use: tokens in it: {count}; move or delete them first",
    )
    GROUP_HAS_SUBSCRIPTIONS = (
        "group_has_subscriptions",
        "'{given}' is in use: subscriptions to it: {count}; end them first",
    )
    GROUP_HAS_INVITES = (
        "group_has_invites",
        "'{given}' is in use: invites to it: {count}; revoke them first",
    )
    NAME_STAYS = "name_stays", "is '{given}', but the path says '{path}'; an entry keeps its name"
    NO_SETTING = "no_setting", "{why}"
    STANDS_FOR_ITSELF = "stands_for_itself", "'{given}' cannot stand for itself"
    STANDS_FOR_OTHERS = "stands_for_others", "'{given}' stands for others itself; name those"
    IS_STOOD_FOR = "is_stood_for", "'{by}' stands for it, so it cannot stand for others itself"
    NO_UPSTREAM = "no_upstream", "no upstream is named '{given}'; there are {known}"
    NO_PLAIN_GROUP = "no_plain_group", "'{given}' is no group, or stands for others itself"
    NOT_CALLABLE = "not_callable", "cannot be called: {why}"
    BEYOND_REACH = (
        "beyond_reach",
        "{given} is not within admin.upstream_cidrs ({allowed}); have the operator add it to the configuration file",
    )
    KEY_NEEDED_AGAIN = (
        "key_needed_again",
        "is needed again: a key stays with the scheme, host and port that it was given for",
    )
    KEY_AS_SHOWN = (
        "key_as_shown",
        "is how a key is shown, and no key: send the key itself",
    )
    KEY_TWICE = "key_twice", "holds a key twice"
    KEY_ELSEWHERE = (
        "key_elsewhere",
        "the key of '{given}' is in the gateways' environment and not in the admin app's: test it there",
    )
    UPSTREAM_BROKEN = "upstream_broken", "the upstream '{given}' cannot be called: {why}"
    MODEL_NOT_SERVED = "model_not_served", "the upstream '{upstream}' does not serve '{given}'"
    NO_MODELS_LISTED = "no_models_listed", "the provider has no list of models for us: {why}"

    # Webhooks

    NO_WEBHOOK = "no_webhook", "there is no webhook {given} among yours"
    NO_OPERATOR_WEBHOOK = (
        "no_operator_webhook",
        "the operator has no webhook here; set warnings.webhook_url",
    )
    TOO_MANY_WEBHOOKS = "too_many_webhooks", "you have {most} webhooks; delete one first"
    NO_WEBHOOK_URL = (
        "no_webhook_url",
        "must be an http:// or https:// URL without a user and a fragment",
    )

    # Calls that are only asked about

    SAID_BY_BODY = "said_by_body", "is said by body already; leave it out"
    NO_PATH = "no_path", "must begin with a slash, such as /v1/chat/completions"

    # Parameters and headers

    UNKNOWN_PARAMETER = (
        "unknown_parameter",
        "there is no such parameter; there are {known}",
    )
    GIVEN_TWICE = "given_twice", "is given twice; give it once"
    NO_WHOLE_NUMBER = (
        "no_whole_number",
        "must be a whole number of at most {digits} digits, it is '{given}'",
    )
    NO_UNIX_SECONDS = "no_unix_seconds", "must be Unix seconds, it is {given}"
    NO_TOKEN_STATUS = (
        "no_token_status",
        "must be 1 enabled, 2 disabled, 3 expired or 4 exhausted; it is {given}",
    )
    NO_MASK = (
        "no_mask",
        "must be a key's first four characters, its last four, or sk-AbCd****wxyz as lists show it; never a whole key",
    )
    PAGE_TOO_DEEP = (
        "page_too_deep",
        "by {sort}, pages go no deeper than {most} tokens; narrow the list, turn its order round, or sort it by id",
    )
    PAGE_TOO_FAR = (
        "page_too_far",
        "pages reach {most} rows; choose a shorter stretch of time, or go on with cursor, which reaches all",
    )
    NO_CURSOR = "no_cursor", "is not the next_cursor of an answer; leave it out to begin anew"
    NO_REQUEST_ID = (
        "no_request_id",
        "must be the x-request-id of an answer: 32 hexadecimal digits, with or without hyphens",
    )
    NO_STATUS = (
        "no_status",
        "must be a status such as 200, or 4xx for all of them; it is '{given}'",
    )
    NO_TAG = "no_tag", "must be a key, a colon and a value; it is '{given}'"
    NO_LOG_TYPE = "no_log_type", "must be 2 (consumption), or 0 for all: no other is kept"
    TOO_MANY_CALLS = (
        "too_many_calls",
        "so many calls cannot be gone through in time; choose a shorter stretch of time",
    )
    NOT_BEFORE_END = "not_before_end", "must be before end ({end})"
    TOO_MANY_POINTS = (
        "too_many_points",
        "{interval} makes {points} points, and {most} are allowed; ask for less time at once, or for longer intervals",
    )
    NO_SERIES_KEY = (
        "no_series_key",
        "must be one of {choices}, or {tag} and a key; it is '{given}'",
    )
    NO_VERSION = "no_version", "must be a version such as \"3\", it is '{given}'"
    NO_IDEMPOTENCY_KEY = (
        "no_idempotency_key",
        "must be 1 to {most} printable ASCII characters, such as a UUID",
    )
    IDEMPOTENCY_KEY_REUSED = (
        "idempotency_key_reused",
        "was sent with another request in the last 24 hours; make a new one for each request",
    )
    ANSWER_LOST = (
        "answer_lost",
        "this request was carried out, but its answer cannot be read any more; list your tokens, rotate what it made",
    )


_ENGLISH = _English()
