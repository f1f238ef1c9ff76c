"""`tollhouse grant` and `redeem …`: what each calls, and what it shows of the answer."""

import argparse
from collections.abc import Mapping
from typing import Any, Final

from gateway.commands import wallet_texts
from gateway.commands.api_client import Answer, Api
from gateway.commands.running import note, report, write_data
from gateway.commands.wallet_calls import Action, account_id, once, path_of, show_page

CODES: Final = "/api/redeem/"


async def _grant(api: Api, given: argparse.Namespace) -> None:
    body = {"amount_usd": given.amount, "note": given.note}
    body |= {"user_id": given.member} if given.member else {}
    body |= {"group": given.group} if given.group else {}
    if given.reference:
        body["reference"] = given.reference
        answer = await api.call("POST", await path_of(api, given, "top_up"), body=body)
    else:
        path = await path_of(api, given, "grant")
        answer = await api.call("POST", path, body=body, headers=once(given))
    _report_granted(given, answer)


async def _make_codes(api: Api, given: argparse.Namespace) -> None:
    names = ("amount_usd", "count", "expires_in_days", "note", "prefix")
    body = {name: getattr(given, name) for name in names}
    answer = await api.call("POST", CODES, body=body, headers=once(given))
    if given.json:
        write_data(answer)
        return
    made = answer.data
    note(f"Made batch {made['batch_id']}. The codes are shown this once:")
    print("\n".join(made["codes"]))


async def _list_codes(api: Api, given: argparse.Namespace) -> None:
    query: dict[str, str | int] = {"p": given.page, "page_size": given.size}
    query |= {"batch_id": given.batch} if given.batch else {}
    query |= {"state": given.state} if given.state else {}
    answer = await api.call("GET", CODES, query=query)
    show_page(given, answer, wallet_texts.CODES, wallet_texts.code, "code")


async def _revoke_codes(api: Api, given: argparse.Namespace) -> None:
    body = {"ids": given.codes} if given.codes else {"batch_id": given.batch}
    answer = await api.call("POST", f"{CODES}revoke", body=body)
    count = answer.data
    report(given, answer, f"Revoked {count} code{'' if count == 1 else 's'}.")


async def _use_code(api: Api, given: argparse.Namespace) -> None:
    body: dict[str, Any] = {"key": given.code}
    if given.account:
        body["account_id"] = await account_id(api, given.account)
    _report_granted(given, await api.call("POST", f"{CODES}use", body=body))


def _report_granted(given: argparse.Namespace, answer: Answer) -> None:
    report(given, answer, wallet_texts.granted(answer.data))


GIVING: Final[Mapping[tuple[str, ...], Action]] = {
    ("grant",): _grant,
    ("redeem", "create"): _make_codes,
    ("redeem", "list"): _list_codes,
    ("redeem", "revoke"): _revoke_codes,
    ("redeem", "use"): _use_code,
}
"""What each command carries out."""
