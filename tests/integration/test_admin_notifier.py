"""What the quota store and the gateways are told of an edit."""

import asyncio

import pytest

from admin_api.notifier import StoreNotifier
from gateway.store.books import Book
from gateway.store.pipeline import Pipeline
from gateway.store.quota import QuotaStore
from gateway.store.valkey import open_valkey

ACCOUNT, TOKEN = 7, 41


@pytest.fixture
async def store(valkey_url):
    async with Pipeline(valkey_url) as pipeline, open_valkey(valkey_url) as valkey:
        quota = QuotaStore(pipeline, pause_s=0)
        yield quota, valkey, pipeline


async def test_an_edit_is_binding_before_it_is_answered_and_every_listener_hears_of_it(store):
    quota, valkey, _ = store
    await quota.start()
    heard = asyncio.Queue()
    notifier = StoreNotifier(quota, valkey, timeout_s=2)
    async with valkey.listen(heard.put_nowait, lambda _: None):
        assert await notifier.token_changed(ACCOUNT, TOKEN, [Book("t41", 500, 1, 20, 1)])
        assert await notifier.token_changed(ACCOUNT, TOKEN, [Book("t41", 900, 2, 10, 2)])
        assert [await heard.get(), await heard.get()] == [TOKEN, TOKEN]
    book = await quota.book(ACCOUNT, "t41")
    assert (book.granted, book.version) == (900, 2)
    assert book.used == 20  # spend never falls, whoever comes late


async def test_an_edit_of_an_account_is_binding_and_heard_of_with_the_accounts_id(store):
    quota, valkey, _ = store
    await quota.start()
    heard = asyncio.Queue()
    notifier = StoreNotifier(quota, valkey, timeout_s=2)
    async with valkey.listen(lambda _: None, lambda _: None, on_account=heard.put_nowait):
        assert await notifier.books_changed(ACCOUNT, [Book("a7", 500, 1, 20, 1)])
        assert await heard.get() == ACCOUNT
    assert (await quota.book(ACCOUNT, "a7")).granted == 500


async def test_a_store_that_was_started_anew_is_opened_and_told(store):
    quota, valkey, _ = store
    notifier = StoreNotifier(quota, valkey, timeout_s=2)
    assert await notifier.token_changed(ACCOUNT, TOKEN, [Book("t41", None, 1, 0, 3)])
    assert (await quota.book(ACCOUNT, "t41")).version == 3


async def test_a_store_that_does_not_answer_is_reported_as_not_told(store):
    quota, valkey, pipeline = store
    await pipeline.close()
    notifier = StoreNotifier(quota, valkey, timeout_s=2)
    assert not await notifier.token_changed(ACCOUNT, TOKEN, [Book("t41", 5, 1, 0, 1)])
