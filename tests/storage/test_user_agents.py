from __future__ import annotations

import re

import pytest

from tests.storage.shared_data import shared_data
from trackstream.core.lookups import UserAgent
from trackstream.storage.bots import BotMatcher, crawlers
from trackstream.storage.user_agents import UaParser

_GOOGLEBOT = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"
_PIXEL = (
    "Mozilla/5.0 (Linux; Android 13; Pixel 7) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/116.0.5845.114 Mobile Safari/537.36"
)


@pytest.fixture(scope="module")
def parser() -> UaParser:
    return UaParser()


def test_a_phone(parser: UaParser) -> None:
    assert parser.parse(_PIXEL) == UserAgent(
        browser="Chrome Mobile",
        browser_version="116.0.5845",
        os_name="Android",
        os_version="13",
        device_brand="Google",
        device_model="Pixel 7",
        form_factor="phone",
    )


@pytest.mark.parametrize("text", [None, ""])
def test_no_string_says_nothing(parser: UaParser, text: str | None) -> None:
    assert parser.parse(text) == UserAgent()


def test_an_unknown_string_says_nothing(parser: UaParser) -> None:
    assert parser.parse("zzz") == UserAgent()


@pytest.mark.parametrize(
    "text",
    [
        _GOOGLEBOT,
        "Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)",
        "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)",
        "Feedly/1.0 (+http://www.feedly.com/fetcher.html; 1 subscribers)",
        "Scrapy/2.11 (+https://scrapy.org)",
        "HTTrack/3.0x",
        "WGETbot/1.0 (+http://wget.alanreed.org)",
        "amibot - http://www.amidalla.de - tech@amidalla.com libwww-perl/5.831",
        "Java/17 (compatible; Googlebot/2.1)",
    ],
)
def test_a_crawler_is_a_bot(parser: UaParser, text: str) -> None:
    assert parser.parse(text).bot


@pytest.mark.parametrize(
    "text",
    [
        "Java/17.0.9",
        "Java/1.8.0_292",
        "Java-http-client/17.0.9",
        "JNLP/6.0 javaws/1.6",
        "Python-urllib/3.11",
        "python-urllib3",
        "python-requests/2.31.0",
        "python-httpx/0.27.0",
        "Python/3.11 aiohttp/3.9.1",
        "Google-HTTP-Java-Client/1.42.3 (gzip)",
        "Apache-HttpClient/4.5.13 (Java/11.0.11)",
        "Jersey/2.35 (HttpUrlConnection 17.0.1)",
        "Jakarta Commons-HttpClient/3.1",
        "ReactorNetty/1.1.13",
        "okhttp/4.12.0",
        "Dalvik/2.1.0 (Linux; U; Android 14)",
        "Go-http-client/2.0",
        "curl/8.5.0",
        "Wget/1.21.4",
        "axios/1.6.2",
        "node-fetch/1.0 (+https://github.com/bitinn/node-fetch)",
        "got (https://github.com/sindresorhus/got)",
        "GuzzleHttp/7",
        "Symfony HttpClient (Curl)",
        "PHP-Curl-Class/4.13.0 (+https://github.com/php-curl-class) PHP/7.2.24 curl/7.61.1",
        "libwww-perl/6.67",
        "HTTPClient/1.0 (2.8.3, ruby 3.0.2)",
        "Faraday v2.7.4",
        "RestSharp/110.2.0.0",
        "WinHTTP",
        "Mozilla/4.0 (compatible; Win32; WinHttp.WinHttpRequest.5)",
        "Mozilla/3.0 (compatible; Indy Library)",
        "Dart/3.2 (dart:io)",
        "MyApp/1 CFNetwork/1410.0.3 Darwin/22.6.0",
        "hackney/1.18",
        "reqwest/0.11",
        "Boto3/1.34.11 md/Botocore#1.34.11 ua/2.0 os/linux",
        "http%20client/1",
        "WordPress/6.4.2; https://shop.example",
        "WordPress/6.4; https://robot-shop.example",
        "AppEngine-Google; (+http://code.google.com/appengine; appid: s~robots)",
        "SFDC-Callout/59.0",
        "Zapier",
        "Zendesk Webhook",
    ],
)
def test_what_apps_and_servers_send_is_no_bot(parser: UaParser, text: str) -> None:
    assert not parser.parse(text).bot


@pytest.mark.parametrize(
    "text",
    [
        "Java/17.0.9 (compatible; ShopCrawler/1.0)",
        "crawler4j (https://github.com/yasserg/crawler4j/) Java/17",
        "Python-urllib/3.11 spider",
        "Scrapy/2.11 WordPress/6.4; https://shop.example",
    ],
)
def test_a_crawler_that_names_its_library_is_a_bot(parser: UaParser, text: str) -> None:
    assert parser.parse(text).bot


def test_no_browser_of_people_is_a_bot_and_its_system_is_known(parser: UaParser) -> None:
    lines = shared_data("user_agents.txt").read_text("utf-8").splitlines()
    parsed = [parser.parse(line) for line in lines if line]
    assert len(parsed) == 500
    assert [one for one in parsed if one.bot] == []
    assert sum(one.os_name is not None for one in parsed) >= 495
    assert sum(one.browser is not None for one in parsed) >= 495


def test_a_real_web_log_has_the_bots_that_it_names(parser: UaParser) -> None:
    log = shared_data("elastic_apache_logs.log").read_text("utf-8", "replace")
    agents = {found.group(1) for found in re.finditer(r'"([^"]*)"$', log, re.MULTILINE)}
    bots = {agent for agent in agents if parser.parse(agent).bot}
    assert {agent for agent in agents if re.search(r"Googlebot|bingbot|YandexBot", agent)} <= bots
    # Most of that site's visitors were people.
    assert 30 < len(bots) < len(agents) / 2


def test_the_joined_matcher_agrees_with_every_rule_of_the_list() -> None:
    is_bot = BotMatcher()
    examples = [text for entry in crawlers() for text in entry["instances"]]
    assert len(examples) > 1000
    assert [text for text in examples if not is_bot(text)] == []


def test_an_answer_is_kept(parser: UaParser) -> None:
    assert parser.parse(_PIXEL) is parser.parse(_PIXEL)


def test_an_endless_string_is_read_up_to_a_bound(parser: UaParser) -> None:
    assert parser.parse(_PIXEL + " x" * 500_000).os_name == "Android"


@pytest.mark.parametrize(
    ("said", "model"),
    [("sdk_gphone64_x86_64", "sdk_gphone64_x86_64"), ("X-9000 Lite", "X-9000 Lite"), ("K", None)],
)
def test_what_an_unknown_android_calls_itself_is_its_model(
    parser: UaParser, said: str, model: str | None
) -> None:
    found = parser.parse(
        f"Mozilla/5.0 (Linux; Android 14; {said}) AppleWebKit/537.36 (KHTML, like Gecko) "
        "Chrome/129.0.0.0 Mobile Safari/537.36"
    )
    assert (found.device_brand, found.device_model) == (None, model)


def test_a_frozen_system_version_says_nothing() -> None:
    reduced = UaParser().parse(
        "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) "
        "Chrome/126.0.0.0 Mobile Safari/537.36"
    )
    safari = UaParser().parse(
        "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 "
        "(KHTML, like Gecko) Version/26.0 Mobile/15E148 Safari/604.1"
    )
    assert (reduced.os_name, reduced.os_version) == ("Android", None)
    assert (safari.os_name, safari.os_version) == ("iOS", None)
