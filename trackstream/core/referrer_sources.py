"""Who sends visitors: domains and apps by what they are. A domain stands for its subdomains, too.

No list of this kind that a package carries is kept up any more, so this one is our own, and short:
services that measurably send visitors. Sources: each service's own domain, as its pages redirect to
it; the AI assistants are those that name themselves in `utm_source` or in the Referer header.
"""

from __future__ import annotations

__all__ = ["AD_CLICK_IDS", "APPS", "DOMAINS"]

_SEARCH = {
    "Google": "com.google.android.googlequicksearchbox",  # its domains are a rule: `referrers`
    "Bing": "bing.com",
    "Yahoo": "yahoo.com yahoo.co.jp",
    "DuckDuckGo": "duckduckgo.com com.duckduckgo.mobile.android",
    "Yandex": "yandex.ru yandex.com yandex.by yandex.kz yandex.com.tr ya.ru",
    "Baidu": "baidu.com",
    "Naver": "naver.com",
    "Daum": "daum.net",
    "Seznam": "seznam.cz",
    "Ecosia": "ecosia.org com.ecosia.android",
    "Qwant": "qwant.com",
    "Startpage": "startpage.com",
    "Brave Search": "search.brave.com",
    "Kagi": "kagi.com",
    "Mojeek": "mojeek.com",
    "Sogou": "sogou.com",
    "360 Search": "so.com",
    "AOL": "aol.com",
    "Ask": "ask.com",
    "Swisscows": "swisscows.com",
    "MetaGer": "metager.org metager.de",
    "Coc Coc": "coccoc.com",
}
_SOCIAL = {
    "Facebook": "facebook.com fb.com fb.me messenger.com com.facebook.katana com.facebook.orca",
    "Instagram": "instagram.com ig.me com.instagram.android",
    "Threads": "threads.net threads.com com.instagram.barcelona",
    "WhatsApp": "whatsapp.com wa.me com.whatsapp",
    "X": "x.com twitter.com t.co com.twitter.android",
    "LinkedIn": "linkedin.com lnkd.in com.linkedin.android",
    "Reddit": "reddit.com redd.it com.reddit.frontpage",
    "YouTube": "youtube.com youtu.be com.google.android.youtube",
    "TikTok": "tiktok.com com.zhiliaoapp.musically",
    "Pinterest": "pinterest.com pin.it pinterest.de pinterest.co.uk pinterest.fr com.pinterest",
    "Snapchat": "snapchat.com com.snapchat.android",
    "Telegram": "telegram.org telegram.me t.me org.telegram.messenger",
    "Discord": "discord.com discord.gg discordapp.com com.discord",
    "Slack": "slack.com com.slack",
    "Mastodon": "mastodon.social mastodon.online mstdn.social org.joinmastodon.android",
    "Bluesky": "bsky.app bsky.social xyz.blueskyweb.app",
    "VK": "vk.com vk.ru com.vkontakte.android",
    "Odnoklassniki": "ok.ru",
    "Weibo": "weibo.com weibo.cn",
    "WeChat": "weixin.qq.com",
    "LINE": "line.me jp.naver.line.android",
    "KakaoTalk": "kakao.com com.kakao.talk",
    "Quora": "quora.com",
    "Tumblr": "tumblr.com",
    "Twitch": "twitch.tv",
    "Vimeo": "vimeo.com",
    "Xing": "xing.com",
    "Hacker News": "news.ycombinator.com",
    "Stack Overflow": "stackoverflow.com",
    "GitHub": "github.com",
    "Medium": "medium.com",
}
_EMAIL = {
    "Gmail": "mail.google.com com.google.android.gm",
    "Outlook": "outlook.live.com outlook.office.com outlook.office365.com "
    "com.microsoft.office.outlook",
    "Yahoo Mail": "mail.yahoo.com mail.yahoo.co.jp com.yahoo.mobile.client.android.mail",
    "AOL Mail": "mail.aol.com",
    "iCloud Mail": "icloud.com",
    "Proton Mail": "mail.proton.me mail.protonmail.com ch.protonmail.android",
    "Fastmail": "fastmail.com",
    "GMX": "gmx.net gmx.de gmx.com",
    "WEB.DE": "web.de",
    "Zoho Mail": "mail.zoho.com",
    "Yandex Mail": "mail.yandex.ru mail.yandex.com",
    "Mail.ru": "e.mail.ru",
    "QQ Mail": "mail.qq.com",
    "NAVER Mail": "mail.naver.com",
    "Seznam Email": "email.seznam.cz",
}
_AI = {
    "ChatGPT": "chatgpt.com chat.openai.com com.openai.chatgpt",
    "Claude": "claude.ai com.anthropic.claude",
    "Gemini": "gemini.google.com bard.google.com com.google.android.apps.bard",
    "Copilot": "copilot.microsoft.com copilot.cloud.microsoft com.microsoft.copilot",
    "Perplexity": "perplexity.ai ai.perplexity.app.android",
    "Grok": "grok.com",
    "DeepSeek": "deepseek.com com.deepseek.chat",
    "Meta AI": "meta.ai",
    "Le Chat": "chat.mistral.ai",
    "Poe": "poe.com",
    "You.com": "you.com",
    "Kimi": "kimi.com kimi.moonshot.cn",
    "Qwen": "chat.qwen.ai",
    "Doubao": "doubao.com",
    "Phind": "phind.com",
    "NotebookLM": "notebooklm.google.com",
}
_PAID = {
    "Google Ads": "doubleclick.net googlesyndication.com googleadservices.com",
    "Taboola": "taboola.com",
    "Outbrain": "outbrain.com",
    "Criteo": "criteo.com criteo.net",
}

_ALL = {
    one: (kind, name)
    for kind, services in (
        *(("search", _SEARCH), ("social", _SOCIAL), ("email", _EMAIL)),
        *(("ai_assistant", _AI), ("paid", _PAID)),
    )
    for name, places in services.items()
    for one in places.split()
}
_TOP = ("com", "org", "net", "jp", "ch", "ai", "xyz")

APPS = {one: known for one, known in _ALL.items() if one.partition(".")[0] in _TOP}
"""(type, name) by an Android package, as `android-app://PACKAGE` names it."""

DOMAINS = {one: known for one, known in _ALL.items() if one not in APPS}
"""(type, name) by domain."""

AD_CLICK_IDS = {
    "gclid": "Google Ads",
    "gbraid": "Google Ads",
    "wbraid": "Google Ads",
    "dclid": "Display & Video 360",
    "msclkid": "Microsoft Advertising",
    "ttclid": "TikTok Ads",
    "twclid": "X Ads",
    "li_fat_id": "LinkedIn Ads",
    "sccid": "Snapchat Ads",
    "rdt_cid": "Reddit Ads",
    "epik": "Pinterest Ads",
    "irclid": "impact.com",
}
"""Whose advertisement a network's click id is of. `fbclid` is not among them: Facebook adds it to
every link, of ordinary posts, too."""
