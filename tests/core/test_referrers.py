"""Where visits come from: by what the link says, by the referrer, by neither."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trackstream.core.records import Campaign
from trackstream.core.referrer_sources import APPS, DOMAINS
from trackstream.core.referrers import TYPES, classify

PAGE = "https://www.shop.example/sale"


@pytest.mark.parametrize(
    ("referrer", "expected"),
    [
        ("https://www.google.de/", ("search", "Google")),
        ("https://www.google.co.uk/search?q=x", ("search", "Google")),
        ("https://news.google.com/", ("search", "Google")),
        ("https://mail.google.com/mail/u/0", ("email", "Gmail")),
        ("https://gemini.google.com/app", ("ai_assistant", "Gemini")),
        ("https://google.evil.example/", ("unknown", "google.evil.example")),
        ("https://notbing.com/", ("unknown", "notbing.com")),
        ("https://CN.Bing.com./search", ("search", "Bing")),
        ("android-app://com.google.android.gm/", ("email", "Gmail")),
        ("android-app://com.linkedin.android", ("social", "LinkedIn")),
        ("android-app://org.example.reader", ("unknown", "org.example.reader")),
        ("https://t.co/abc", ("social", "X")),
        ("https://l.facebook.com/l.php", ("social", "Facebook")),
        ("https://chatgpt.com/", ("ai_assistant", "ChatGPT")),
        ("https://www.perplexity.ai/search/x", ("ai_assistant", "Perplexity")),
        ("https://r0.rambler.ru/", ("search", "Rambler")),
        ("https://mail.rambler.ru/", ("email", "Rambler Mail")),
        ("https://www.petalsearch.com/", ("search", "Petal Search")),
        ("https://www.dogpile.com/", ("search", "Dogpile")),
        ("https://presearch.com/", ("search", "Presearch")),
        ("https://mail.163.com/", ("email", "163 Mail")),
        ("https://mail.orange.fr/", ("email", "Orange Mail")),
        ("https://deref-gmx.net/mail/client/x", ("email", "GMX")),
        ("https://nextdoor.com/", ("social", "Nextdoor")),
        ("https://www.xiaohongshu.com/explore", ("social", "Xiaohongshu")),
        ("https://www.flickr.com/", ("social", "Flickr")),
        ("https://x.com/i/grok?conversation=1", ("ai_assistant", "Grok")),
        ("https://mobile.x.com/i/grok/share/2", ("ai_assistant", "Grok")),
        ("https://x.com/i/grokking", ("social", "X")),
        ("https://x.com/", ("social", "X")),
        ("https://www.bing.com/chat?q=x", ("ai_assistant", "Copilot")),
        ("https://m365.cloud.microsoft/", ("ai_assistant", "Copilot")),
        ("huggingface.co/chat/", ("ai_assistant", "HuggingChat")),
        ("https://huggingface.co/", ("unknown", "huggingface.co")),
        ("https://chat.qwen.ai/", ("ai_assistant", "Qwen")),
        ("https://duck.ai/", ("ai_assistant", "Duck.ai")),
        ("https://yiyan.baidu.com/", ("ai_assistant", "ERNIE Bot")),
        ("android-app://ai.x.grok", ("ai_assistant", "Grok")),
        ("https://tpc.googlesyndication.com/x", ("paid", "Google Ads")),
        ("https://shop.example/", ("internal", "www.shop.example")),
        ("https://help.shop.example/", ("internal", "www.shop.example")),
        ("https://myshop.example/", ("unknown", "myshop.example")),
        ("https://[", ("unknown", None)),
        ("", ("direct", None)),
    ],
)
def test_a_referrer_is_who_it_is(referrer: str, expected: tuple[str, str | None]) -> None:
    assert classify(PAGE, referrer or None, None) == expected


@pytest.mark.parametrize(
    ("campaign", "referrer", "expected"),
    [
        (Campaign(click_ids={"gclid": "1"}), "https://www.google.com/", ("paid", "Google Ads")),
        (Campaign(utm_medium="cpc", utm_source="google"), None, ("paid", "Google")),
        (Campaign(channel="paid_social", utm_source="adnet"), None, ("paid", "adnet")),
        (Campaign(utm_medium="Email", utm_source="july"), "https://bing.com/", ("email", "july")),
        (Campaign(utm_medium="newsletter"), "https://mail.yahoo.com/", ("email", "Yahoo Mail")),
        (Campaign(utm_medium="social"), None, ("social", "social")),
        (Campaign(utm_source="chatgpt.com"), None, ("ai_assistant", "ChatGPT")),
        (Campaign(click_ids={"fbclid": "1"}), None, ("social", "Facebook")),
        (Campaign(click_ids={"fbclid": "1"}), "https://ig.me/", ("social", "Instagram")),
        (Campaign(click_ids={"fbclid": "1"}, utm_medium="paid"), None, ("paid", "paid")),
        (Campaign(utm_source="partner"), None, ("unknown", "partner")),
        (Campaign(utm_source="partner"), "https://www.qwant.com/", ("search", "Qwant")),
        (Campaign(campaign_id="c"), None, ("direct", None)),
    ],
)
def test_what_a_link_says_of_itself_comes_first(
    campaign: Campaign, referrer: str | None, expected: tuple[str, str | None]
) -> None:
    assert classify(PAGE, referrer, campaign) == expected


def test_an_apps_event_has_no_type() -> None:
    assert classify(None, None, None) == (None, None)


def test_the_table_holds_domains_and_apps_apart() -> None:
    assert all(one.count(".") >= 1 and one == one.lower() for one in DOMAINS)
    assert "com.slack" in APPS
    assert not {one for one in DOMAINS if one.startswith(("com.", "org.", "jp.", "ch.", "xyz."))}
    assert {kind for kind, _ in {**DOMAINS, **APPS}.values()} < set(TYPES)


@given(st.none() | st.text(), st.none() | st.text(), st.text(), st.text())
def test_whatever_is_sent_has_one_of_the_types(
    page: str | None, referrer: str | None, source: str, medium: str
) -> None:
    campaign = Campaign(utm_source=source, utm_medium=medium)
    for one in (campaign, None):
        kind, _ = classify(page, referrer, one)
        assert kind in {*TYPES, None}
