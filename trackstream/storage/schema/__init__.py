"""The tables, as SQLAlchemy Core metadata; `trackstream.storage.migrations` makes them.

- `registered`: apps, keys, links, and the version that says when they changed;
- `facts`: what the warehouse writes, and the offsets up to which it has;
- `decisions`: what it writes of attributions;
- `rules`: the rules of each app, all versions, and which counted when;
- `models`: what attribution models have given, where it was kept;
- `persons`: which identifiers are one person's;
- `postbacks`: whom to tell of attributions, and the outbox of what is told;
- `fraud`: sources of clicks that get no credit;
- `funnels`: the funnels of each app, all versions;
- `columns`: the kinds of columns.
"""

from trackstream.storage.schema.columns import metadata
from trackstream.storage.schema.decisions import (
    attribution_credits,
    attribution_revisions,
    attributions,
)
from trackstream.storage.schema.facts import (
    consumer_offsets,
    dim_campaigns,
    dim_users,
    fact_events,
    fact_sessions,
    rejected,
)
from trackstream.storage.schema.fraud import fraud_sources
from trackstream.storage.schema.funnels import funnels
from trackstream.storage.schema.models import model_results
from trackstream.storage.schema.persons import person_links, user_id_map
from trackstream.storage.schema.postbacks import postback_destinations, postbacks
from trackstream.storage.schema.registered import api_keys, apps, directory_version, links
from trackstream.storage.schema.rules import rules, rules_activations

__all__ = [
    "api_keys",
    "apps",
    "attribution_credits",
    "attribution_revisions",
    "attributions",
    "consumer_offsets",
    "dim_campaigns",
    "dim_users",
    "directory_version",
    "fact_events",
    "fact_sessions",
    "fraud_sources",
    "funnels",
    "links",
    "metadata",
    "model_results",
    "person_links",
    "postback_destinations",
    "postbacks",
    "rejected",
    "rules",
    "rules_activations",
    "user_id_map",
]
