"""The frame around all pages: signing in for the first time, moving about, looks and languages."""

import re

from playwright.sync_api import expect

from tests.browser.console import PASSWORD


def test_the_first_administrator_signs_in_and_chooses_a_password(console, look):
    console.button("Sign out").click()
    expect(console.button("Sign in")).to_be_visible()
    look("sign-in")
    console.sign_in("admin", PASSWORD)


def test_a_page_is_reached_by_its_link_and_by_its_address(console, look):
    console.go("Models")
    expect(console.page).to_have_url(re.compile("#/models$"))
    look("models")
    console.page.reload()
    expect(console.heading("Models")).to_be_focused()
    console.open("/nowhere")
    expect(console.page.get_by_role("heading", name="There is no such page")).to_be_visible()


def test_language_and_colours_are_kept_in_this_browser(console):
    console.page.get_by_role("button", name="Language").click()
    console.button("中文").click()
    expect(console.heading("总览")).to_be_visible()
    console.page.get_by_role("button", name="配色").click()
    console.button("深色").click()
    console.page.reload()
    expect(console.heading("总览")).to_be_visible()
    expect(console.page.locator("html")).to_have_attribute("data-theme", "dark")


def test_on_a_phone_the_pages_are_behind_a_button(console, look):
    console.page.set_viewport_size({"width": 360, "height": 740})
    console.button("Menu").click()
    console.go("Models")
    expect(console.page.get_by_role("navigation", name="Pages")).to_be_hidden()
