"""A worker for `faust -A` that decides by the default rules: it needs no PostgreSQL."""

from __future__ import annotations

from trackstream.application import create_app, rules_of, use_uvloop
from trackstream.settings import Settings
from trackstream.storage.funnels_book import NoFunnels
from trackstream.storage.rules_book import DefaultRules

use_uvloop()
_settings = Settings.load()
app = create_app(_settings, rules_book=DefaultRules(rules_of(_settings)), funnels_book=NoFunnels())
