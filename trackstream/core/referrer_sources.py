"""Who sends visitors: domains and apps by what they are. A domain stands for its subdomains, too.

The table is our own, of November 2026, and short: services that measurably send visitors. Why it is
none of the published ones is in `docs/decisions/referrers.md`. Sources: each service's own domain,
as its pages redirect to it; the AI assistants are those that name themselves in `utm_source` or in
the Referer header.
"""

from __future__ import annotations

__all__ = ["AD_CLICK_IDS", "APPS", "DOMAINS", "PATHS"]

_SEARCH = {
    "Google": "com.google.android.googlequicksearchbox",  # its domains are a rule: `referrers`
    "Bing": "bing.com",
    "Yahoo": "yahoo.com yahoo.co.jp",
    "DuckDuckGo": "duckduckgo.com com.duckduckgo.mobile.android",
    "Yandex": "yandex.ru yandex.com yandex.by yandex.kz yandex.uz yandex.com.tr ya.ru",
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
    "Rambler": "rambler.ru",
    "Mail.ru Search": "go.mail.ru",
    "Petal Search": "petalsearch.com",
    "Dogpile": "dogpile.com",
    "WebCrawler": "webcrawler.com",
    "Lycos": "lycos.com",
    "Presearch": "presearch.com presearch.io",
    "Lilo": "lilo.org",
    "Shenma": "sm.cn",
    "T-Online Suche": "suche.t-online.de",
}
_SOCIAL = {
    "Facebook": "facebook.com fb.com fb.me messenger.com m.me com.facebook.katana "
    "com.facebook.orca",
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
    "VK": "vk.com vk.ru vkontakte.ru com.vkontakte.android",
    "Odnoklassniki": "ok.ru odnoklassniki.ru",
    "Weibo": "weibo.com weibo.cn",
    "WeChat": "weixin.qq.com",
    "LINE": "line.me jp.naver.line.android",
    "KakaoTalk": "kakao.com com.kakao.talk",
    "Quora": "quora.com",
    "Tumblr": "tumblr.com t.umblr.com",
    "Twitch": "twitch.tv",
    "Vimeo": "vimeo.com",
    "Xing": "xing.com",
    "Hacker News": "news.ycombinator.com",
    "Stack Overflow": "stackoverflow.com",
    "GitHub": "github.com",
    "Medium": "medium.com",
    "Substack": "substack.com",
    "Nextdoor": "nextdoor.com com.nextdoor",
    "Flickr": "flickr.com",
    "LiveJournal": "livejournal.com",
    "Truth Social": "truthsocial.com",
    "Lemmy": "lemmy.world",
    "Linktree": "linktr.ee",
    "Microsoft Teams": "teams.microsoft.com teams.cloud.microsoft com.microsoft.teams",
    "Viber": "viber.com com.viber.voip",
    "Xiaohongshu": "xiaohongshu.com xhslink.com com.xingin.xhs",
    "Zhihu": "zhihu.com com.zhihu.android",
    "Bilibili": "bilibili.com",
    "Douyin": "douyin.com",
    "Douban": "douban.com",
    "Qzone": "qzone.qq.com",
    "mixi": "mixi.jp",
}
_EMAIL = {
    "Gmail": "mail.google.com com.google.android.gm",
    "Outlook": "outlook.live.com outlook.office.com outlook.office365.com outlook.cloud.microsoft "
    "com.microsoft.office.outlook",
    "Yahoo Mail": "mail.yahoo.com mail.yahoo.co.jp com.yahoo.mobile.client.android.mail",
    "AOL Mail": "mail.aol.com",
    "iCloud Mail": "icloud.com",
    "Proton Mail": "mail.proton.me mail.protonmail.com ch.protonmail.android",
    "Fastmail": "fastmail.com",
    "GMX": "gmx.net gmx.de gmx.com gmx.at gmx.ch deref-gmx.net deref-gmx.de deref-gmx.com "
    "deref-gmx.at",
    "WEB.DE": "web.de deref-web.de",
    "Zoho Mail": "mail.zoho.com",
    "Yandex Mail": "mail.yandex.ru mail.yandex.com",
    "Mail.ru": "e.mail.ru",
    "QQ Mail": "mail.qq.com",
    "NAVER Mail": "mail.naver.com",
    "Seznam Email": "email.seznam.cz",
    "163 Mail": "mail.163.com",
    "126 Mail": "mail.126.com",
    "Rambler Mail": "mail.rambler.ru",
    "Orange Mail": "mail.orange.fr mail01.orange.fr mail02.orange.fr messagerie.orange.fr",
    "Free Mail": "webmail.free.fr",
    "SFR Mail": "webmail.sfr.fr",
    "La Poste Mail": "laposte.net",
    "Libero Mail": "mail.libero.it",
    "mail.com": "mail.com deref-mail.com",
    "T-Online Mail": "email.t-online.de",
    "Freenet Mail": "webmail.freenet.de",
    "Ukr.net Mail": "mail.ukr.net",
    "Tuta": "tuta.com tutanota.com",
    "HEY Mail": "app.hey.com",
}
_AI = {
    "ChatGPT": "chatgpt.com chat.openai.com labs.openai.com com.openai.chatgpt",
    "Claude": "claude.ai com.anthropic.claude",
    "Gemini": "gemini.google.com bard.google.com com.google.android.apps.bard",
    "Copilot": "copilot.microsoft.com copilot.cloud.microsoft m365.cloud.microsoft "
    "edgeservices.bing.com bing.com/chat github.com/copilot com.microsoft.copilot",
    "Perplexity": "perplexity.ai ai.perplexity.app.android",
    "Grok": "grok.com x.com/i/grok ai.x.grok",
    "DeepSeek": "deepseek.com com.deepseek.chat",
    "Meta AI": "meta.ai",
    "Le Chat": "chat.mistral.ai",
    "Poe": "poe.com",
    "You.com": "you.com",
    "Kimi": "kimi.com kimi.moonshot.cn",
    "Qwen": "qwen.ai tongyi.aliyun.com tongyi.com qianwen.com",
    "Doubao": "doubao.com",
    "Phind": "phind.com",
    "NotebookLM": "notebooklm.google.com",
    "Duck.ai": "duck.ai",
    "Lumo": "lumo.proton.me",
    "Kagi Assistant": "assistant.kagi.com",
    "HuggingChat": "hf.co/chat huggingface.co/chat",
    "Character.AI": "character.ai",
    "Pi AI": "pi.ai",
    "Genspark": "genspark.ai",
    "Manus": "manus.im",
    "Felo": "felo.ai",
    "iAsk": "iask.ai",
    "Andi": "andisearch.com",
    "Blackbox AI": "blackbox.ai",
    "ERNIE Bot": "yiyan.baidu.com",
    "ChatGLM": "chatglm.cn chat.z.ai",
    "Yuanbao": "yuanbao.tencent.com",
    "MiniMax": "chat.minimax.io agent.minimax.io",
    "Alice": "alice.yandex.ru",
    "GigaChat": "giga.chat",
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

PATHS = {one: known for one, known in _ALL.items() if "/" in one}
"""(type, name) by host and the beginning of the path: what is one part of a site."""

DOMAINS = {one: known for one, known in _ALL.items() if one not in APPS and one not in PATHS}
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
